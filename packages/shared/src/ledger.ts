import { laneText, type AdmissionCall } from './admission/admission-call.ts';
import { batchByTick, type Underway } from './batch.ts';
import { parseOutcome, type Outcome } from './call.ts';
import type { Names } from './names.ts';
import { answersOf, loadScript, readMessage, type Redis } from './redis.ts';
import type { RunEventBody } from './runs/run-event.ts';

/** A larger notice carries only the key; the gatherer reads the ledger. */
const maxNoticeBytes = 32 * 1024;

/** Entries a settle script takes at once, so that none holds Redis up for long. */
const maxBatch = 64;

export interface Settlement {
  outcome: Outcome;
  /** `outcome` as JSON */
  text: string;
  /** what is kept, in milliseconds */
  ttlMs: number;
  /** the dispatcher to tell */
  replyTo: string;
  /** the job that must still be ours; absent for the gatherer */
  job?: JobFence;
  /** what admission is to take back; `started` keeps what a start costs */
  admitted?: { call: AdmissionCall; started: boolean } | undefined;
  /** the durable run it belongs to; a dispatcher's word on a call holds only under its `fence` */
  run?: { id: string; fence?: string } | undefined;
  /** the event that the call has ended, where somebody may read it */
  event?: RunEventBody | undefined;
}

/** A worker's hold on a job: BullMQ's lock token. */
export interface JobFence {
  pool: string;
  token: string;
}

/** The first write wins; the loser adopts it, unless it lost the job and there is no outcome yet. */
export type Settled = { kind: 'written' | 'adopted'; outcome: Outcome } | { kind: 'stale' };

export type Opened =
  | { kind: 'go' | 'stale' | 'started' | 'follow' }
  | { kind: 'cached'; value: unknown }
  | { kind: 'settled'; outcome: Outcome }
  | { kind: 'wait'; bucket: string; afterMs?: number }
  | ({ kind: 'refused' } & Refusal);

/** What admission says of a call that is not to wait. */
export interface Refusal {
  refused: 'rate_limited' | 'quota_exceeded';
  bucket: string;
  /** when it could start */
  afterMs?: number;
  /** what is left of a quota */
  left?: number;
}

export interface Opening {
  key: string;
  /** the job that must still be ours */
  job: JobFence;
  /** > 0 marks the call as started, for this long */
  startMarkMs: number;
  /** asks admission and the cache, too */
  admission: AdmissionCall | undefined;
  /** a cached value with less than this to live is stale; default 0 */
  staleMs?: number;
}

/** Where outcomes are written, once each. */
export interface Ledger {
  settle(settlement: Settlement): Underway<Settled>;
  /** The standing outcomes, in the order of the keys. */
  read(keys: readonly string[]): Promise<(Outcome | undefined)[]>;
  /** Asks whether a call may start. */
  open(opening: Opening): Promise<Opened>;
  /** Of calls that were enqueued, those that Redis has lost: they have neither a job nor an outcome. */
  forgotten<C extends { pool: string; key: string }>(calls: readonly C[]): Promise<C[]>;
}

const settleScript = loadScript('./settle-2n.lua', import.meta.url);
const openScript = loadScript('./open-4.lua', import.meta.url);

export function createLedger(redis: Redis, names: Names): Ledger {
  const write = (batch: Settlement[]): Promise<Settled[]> => {
    const keys = batch.flatMap(({ outcome, job }) => [
      names.outcome(outcome.key),
      job ? names.jobLock(job.pool, outcome.key) : names.outcome(outcome.key),
    ]);
    const args = batch.flatMap(({ outcome, text, ttlMs, replyTo, job, admitted, run, event }) => [
      job?.token ?? '',
      Math.max(1, Math.ceil(ttlMs)),
      text,
      replyTo === '' ? '' : names.noticeChannel(replyTo),
      Buffer.byteLength(text) > maxNoticeBytes ? JSON.stringify(outcome.key) : '',
      admitted ? `${admitted.call.about.p} ${outcome.key} ${admitted.started ? 1 : 0}` : '',
      run ? `${run.id} ${run.fence ?? '-'}` : '',
      event ? JSON.stringify(event) : '',
    ]);
    return settleScript(redis, keys, [names.tag, ...args]).then((answers) =>
      batch.map((settlement, i) => readSettled(settlement, (answers as string[])[i] ?? '')),
    );
  };
  return {
    settle: batchByTick(write, maxBatch),
    async read(keys) {
      if (keys.length === 0) return [];
      const texts = await redis.mget(keys.map((key) => names.outcome(key)));
      return texts.map((text) => (text === null ? undefined : parseOutcome(text)));
    },
    async open({ key, job: { pool, token }, startMarkMs, admission, staleMs = 0 }) {
      const keys = [names.outcome(key), names.jobLock(pool, key), names.startMark(key), names.tag];
      const asked =
        admission && JSON.stringify({ p: pool, call: laneText(admission), about: admission.about, staleMs });
      const answer = await openScript(redis, keys, [token, Math.ceil(startMarkMs), asked ?? '']);
      return readOpened(answer as [Opened['kind'], string]);
    },
    async forgotten(calls) {
      if (calls.length === 0) return [];
      const pipeline = redis.pipeline();
      // The job first: it goes when the outcome is there.
      for (const { pool, key } of calls) pipeline.exists(names.job(pool, key));
      for (const { key } of calls) pipeline.exists(names.outcome(key));
      const there = (await answersOf(pipeline)).map((count) => count !== 0);
      return calls.filter((_, i) => !there[i] && !there[calls.length + i]);
    },
  };
}

function readOpened([kind, text]: [Opened['kind'], string]): Opened {
  if (kind === 'settled') return { kind, outcome: parseOutcome(text) };
  if (kind === 'cached') return { kind, value: JSON.parse(text) };
  if (kind !== 'wait' && kind !== 'refused') return { kind };
  return { kind, ...(JSON.parse(text) as object) } as Opened;
}

function readSettled({ outcome, text }: Settlement, answer: string): Settled {
  if (answer === 'stale') return { kind: 'stale' };
  // Our own text means that a reconnect sent the script a second time.
  if (answer === '' || answer === text) return { kind: 'written', outcome };
  return { kind: 'adopted', outcome: parseOutcome(answer) };
}

/** Something of a durable run that a dispatcher is told. */
export interface RunNotice {
  run: string;
  is: 'ended' | 'cancelled' | 'watched';
}

/** A notice: outcomes, the keys of outcomes too large to be sent along, and what becomes of runs. */
export function parseNotice(message: string): (Outcome | string | RunNotice)[] {
  const notices = readMessage(message);
  return Array.isArray(notices) ? notices.filter(isNotice) : [];
}

const isNotice = (one: unknown): one is Outcome | string | RunNotice =>
  typeof one === 'string' || (typeof one === 'object' && one !== null);
