import { batchByTick, type Underway } from './batch.ts';
import { parseOutcome, type Outcome } from './call.ts';
import type { Names } from './names.ts';
import { loadScript, type Redis } from './redis.ts';

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
}

/** A worker's hold on a job: BullMQ's lock token. */
export interface JobFence {
  pool: string;
  token: string;
}

/** The first write wins; the loser adopts it, unless it lost the job and there is no outcome yet. */
export type Settled = { kind: 'written' | 'adopted'; outcome: Outcome } | { kind: 'stale' };

export type Opened = { kind: 'go' } | { kind: 'stale' } | { kind: 'started' } | { kind: 'settled'; outcome: Outcome };

/** Where outcomes are written, once each. */
export interface Ledger {
  settle(settlement: Settlement): Underway<Settled>;
  /** The standing outcomes, in the order of the keys. */
  read(keys: readonly string[]): Promise<(Outcome | undefined)[]>;
  /** Asks whether a call may start; `startMarkMs` > 0 also marks it as started. */
  open(key: string, job: JobFence, startMarkMs: number): Promise<Opened>;
}

const settleScript = loadScript('./settle-2n.lua', import.meta.url);
const openScript = loadScript('./open-3.lua', import.meta.url);

export function createLedger(redis: Redis, names: Names): Ledger {
  const write = (batch: Settlement[]): Promise<Settled[]> => {
    const keys = batch.flatMap(({ outcome, job }) => [
      names.outcome(outcome.key),
      job ? names.jobLock(job.pool, outcome.key) : names.outcome(outcome.key),
    ]);
    const args = batch.flatMap(({ outcome, text, ttlMs, replyTo, job }) => [
      job?.token ?? '',
      Math.max(1, Math.ceil(ttlMs)),
      text,
      replyTo === '' ? '' : names.noticeChannel(replyTo),
      Buffer.byteLength(text) > maxNoticeBytes ? JSON.stringify(outcome.key) : '',
    ]);
    return settleScript(redis, keys, args).then((answers) =>
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
    async open(key, { pool, token }, startMarkMs) {
      const keys = [names.outcome(key), names.jobLock(pool, key), names.startMark(key)];
      const answer = (await openScript(redis, keys, [token, Math.ceil(startMarkMs)])) as string;
      if (answer === '') return { kind: 'go' };
      if (answer === 'stale' || answer === 'started') return { kind: answer };
      return { kind: 'settled', outcome: parseOutcome(answer) };
    },
  };
}

function readSettled({ outcome, text }: Settlement, answer: string): Settled {
  if (answer === 'stale') return { kind: 'stale' };
  // Our own text means that a reconnect sent the script a second time.
  if (answer === '' || answer === text) return { kind: 'written', outcome };
  return { kind: 'adopted', outcome: parseOutcome(answer) };
}

/** A notice: outcomes, or the keys of outcomes too large to be sent along. */
export function parseNotice(message: string): (Outcome | string)[] {
  return JSON.parse(message) as (Outcome | string)[];
}
