import type { ControlMessage } from '../control.ts';
import type { Names } from '../names.ts';
import { loadScript, type Redis } from '../redis.ts';
import type { RunEventBody } from './run-event.ts';

/** The newest version of a record this code understands. */
export const recordVersion = 1;

/** Why a write was refused: another dispatcher has the run, or nobody can have it any more. */
export type Refused = 'stale' | 'gone';

/** Fields of a run's HASH, as they stand there. Turns are in `r:<turn>` and `o:<turn>`, pools in `c:<turn>.<index>`. */
export type RunFields = Readonly<Record<string, string>>;

export type Held =
  | { kind: 'held'; fence: string; fields: RunFields; before: readonly string[]; began: HoldBegin }
  | { kind: Refused | 'ended' | 'early' }
  | { kind: 'too-new'; v: string };
export type HeldRun = Extract<Held, { kind: 'held' }>;

/** Why a hold begins, and the holds before it that may have been told of by nobody, the latest last. */
export interface HoldBegin {
  why: 'submitted' | 'woken' | 'handed-over' | 'fault' | 'taken-over';
  lost: readonly LostHold[];
}

/** A hold that ended without a word. Times are Redis time. */
export interface LostHold {
  fence: string;
  heldAt: number;
  /** when its dispatcher last wrote, or said that it lived, which it does when it renews its locks */
  aliveAt: number;
}

/** A hold on a run: the fence that stands for it. */
export interface RunFence {
  runId: string;
  fence: string;
}

export interface ResponseWrite {
  turn: number;
  /** JSON */
  text: string;
  tokens: number;
  /** where the user's tokens of the day are counted, and for how long that is kept */
  spent: { key: string; ttlMs: number };
  events: readonly RunEventBody[];
}

export interface OutcomesWrite {
  turn: number;
  ttlMs: number;
  /** `here` where the ledger may not have the outcome: as JSON, and the event that the call has ended */
  outcomes: readonly { key: string; here?: { text: string; event: RunEventBody } }[];
}

export interface FinishWrite {
  end: { state: string; stop: string; error?: string };
  keepMs: number;
  conversationTtlMs: number;
  /** what the run adds to its conversation, JSON */
  messages: readonly string[];
}

export type ResponseAnswer = { kind: Refused | 'written' } | { kind: 'standing'; text: string };
export type OutcomesAnswer = { kind: Refused | 'early' | 'written' | 'standing' } | { kind: 'lost'; keys: string[] };
export type FinishAnswer = { kind: Refused | 'written' | 'cancelled' } | { kind: 'standing'; text: string };

/** What a holder is told as it happens, and looks for now and then, as it may have been told to nobody. */
export interface RunSigns {
  isCancelled: boolean;
  /** in Redis time */
  watchedUntil: number;
  deadlineAt: number;
}

export type Awaited = 'unknown' | 'ended' | 'later' | 'overdue';

/** Durable runs as Redis keeps them: every method is one script, and those that write carry the fence of the hold. */
export interface RunStore {
  /** With BullMQ's token of its job; without one a run that is overdue is held, to be ended. */
  hold(runId: string, dispatcher: string, token?: string): Promise<Held>;
  /** Of a run whose submit was not traced: what its later holds are to hang on. */
  recordTrace(hold: RunFence, trace: { carrier: string; traceId: string }): Promise<Refused | 'written'>;
  recordResponse(hold: RunFence, write: ResponseWrite): Promise<ResponseAnswer>;
  recordOutcomes(hold: RunFence, write: OutcomesWrite): Promise<OutcomesAnswer>;
  finish(hold: RunFence, write: FinishWrite): Promise<FinishAnswer>;
  /** The job goes back after this; `begins` is why the next hold does. */
  release(hold: RunFence, begins: 'handed-over' | 'fault'): Promise<Refused | 'released'>;
  /** The job is put away, due soon. Looks again at `dueAt`, whatever has come by then. */
  park(hold: RunFence, dueAt: number, missing: readonly string[]): Promise<Refused | 'parked' | 'woken'>;
  /** True for the first to cancel it. */
  cancel(runId: string, owner: string, by: object): Promise<'unknown' | 'ended' | { isFirst: boolean }>;
  /** Has events written for `ms`. */
  watch(runId: string, owner: string, ms: number): Promise<'unknown' | { last: number; hasEnded: boolean }>;
  /** Writes events if somebody reads them, and the fence stands where one is given. */
  emit(runId: string, events: readonly RunEventBody[], fence?: string): Promise<void>;
  /** Has `dispatcher` told when the run ends, unless it has; `overdue` where nobody is there to end it. */
  await(runId: string, owner: string, dispatcher: string, mayBeLateMs: number): Promise<Awaited>;
  /**
   * What concerns whoever holds runs, in their order; undefined where there is no such run. Where a fence is given and
   * stands, the record keeps that its holder lives.
   */
  signs(runs: readonly { runId: string; fence?: string | undefined }[]): Promise<(RunSigns | undefined)[]>;
  /** Undefined where there is no such run. */
  read(runId: string): Promise<RunFields | undefined>;
}

const script = (file: string) => loadScript(file, import.meta.url);
const holdScript = script('./hold-1.lua');
const traceScript = script('./trace-1.lua');
const responseScript = script('./response-1.lua');
const outcomesScript = script('./outcomes-1.lua');
const finishScript = script('./finish-1.lua');
const releaseScript = script('./release-1.lua');
const parkScript = script('./park-1.lua');
const cancelScript = script('./cancel-1.lua');
const watchScript = script('./watch-1.lua');
const emitScript = script('./emit-1.lua');
const awaitScript = script('./await-1.lua');
const signsScript = script('./signs-1.lua');

const texts = (events: readonly RunEventBody[]): string[] => events.map((event) => JSON.stringify(event));

export function createRunStore(redis: Redis, names: Names): RunStore {
  const { tag } = names;
  const told = (message: ControlMessage) => [names.controlChannel, JSON.stringify(message)] as const;
  return {
    hold: async (runId, dispatcher, token = '') =>
      readHeld((await holdScript(redis, [tag], [runId, dispatcher, token, recordVersion])) as HeldAnswer),
    recordTrace: async ({ runId, fence }, { carrier, traceId }) =>
      (await traceScript(redis, [tag], [runId, fence, carrier, traceId])) as Refused | 'written',
    async recordResponse({ runId, fence }, { turn, text, tokens, spent, events }) {
      const args = [runId, fence, turn, text, tokens, spent.key, Math.ceil(spent.ttlMs), ...texts(events)];
      const [kind, standing = ''] = (await responseScript(redis, [tag], args)) as [ResponseAnswer['kind'], string?];
      return kind === 'standing' ? { kind, text: standing } : { kind };
    },
    async recordOutcomes({ runId, fence }, { turn, ttlMs, outcomes }) {
      const given = outcomes.flatMap(({ key, here }) => [
        key,
        here?.text ?? '',
        here ? JSON.stringify(here.event) : '',
      ]);
      const answer = await outcomesScript(redis, [tag], [runId, fence, turn, Math.ceil(ttlMs), ...given]);
      const [kind, ...keys] = answer as [OutcomesAnswer['kind'], ...string[]];
      return kind === 'lost' ? { kind, keys } : { kind };
    },
    async finish({ runId, fence }, { end, keepMs, conversationTtlMs, messages }) {
      const isCancel = end.state === 'cancelled' ? 1 : 0;
      const event = JSON.stringify({ type: 'end', ...end });
      const args = [runId, fence, JSON.stringify(end), isCancel, keepMs, conversationTtlMs, event, ...messages];
      const [kind, standing = ''] = (await finishScript(redis, [tag], args)) as [FinishAnswer['kind'], string?];
      return kind === 'standing' ? { kind, text: standing } : { kind };
    },
    release: async ({ runId, fence }, begins) =>
      (await releaseScript(redis, [tag], [runId, fence, begins])) as Refused | 'released',
    park: async ({ runId, fence }, dueAt, missing) =>
      (await parkScript(redis, [tag], [runId, fence, dueAt, ...missing])) as Refused | 'parked' | 'woken',
    async cancel(runId, owner, by) {
      const args = [runId, owner, JSON.stringify(by), ...told({ cancel: runId })];
      const [kind, isFirst] = (await cancelScript(redis, [tag], args)) as ['unknown' | 'ended' | 'cancelled', number?];
      return kind === 'cancelled' ? { isFirst: isFirst === 1 } : kind;
    },
    async watch(runId, owner, ms) {
      const answer = await watchScript(redis, [tag], [runId, owner, ms, ...told({ watch: runId })]);
      const [last, hasEnded] = answer as ['unknown'] | [number, number];
      return last === 'unknown' ? last : { last, hasEnded: hasEnded === 1 };
    },
    async emit(runId, events, fence = '-') {
      if (events.length > 0) await emitScript(redis, [tag], [runId, fence, ...texts(events)]);
    },
    await: async (runId, owner, dispatcher, mayBeLateMs) =>
      (await awaitScript(redis, [tag], [runId, owner, dispatcher, mayBeLateMs])) as Awaited,
    async signs(runs) {
      const args = runs.flatMap(({ runId, fence = '-' }) => [runId, fence]);
      return ((await signsScript(redis, [tag], args)) as (string | null)[][]).map(readSigns);
    },
    async read(runId) {
      const fields = await redis.hgetall(names.run(runId));
      return Object.keys(fields).length === 0 ? undefined : fields;
    },
  };
}

function readSigns([fence, cancelledAt, watchedUntil, deadlineAt]: (string | null)[]): RunSigns | undefined {
  if (fence === null) return undefined;
  return { isCancelled: cancelledAt !== null, watchedUntil: Number(watchedUntil), deadlineAt: Number(deadlineAt) };
}

type HeldAnswer = [Held['kind'], string, string[], string[], HoldBegin['why'], string];

function readHeld([kind, detail, fields, before, why, untold]: HeldAnswer): Held {
  if (kind === 'too-new') return { kind, v: detail };
  if (kind !== 'held') return { kind };
  const holds = JSON.parse(untold) as [fence: number, heldAt: number, aliveAt: number][];
  const lost = holds.map(([fence, heldAt, aliveAt]) => ({ fence: String(fence), heldAt, aliveAt }));
  return { kind, fence: detail, fields: fieldsOf(fields), before, began: { why, lost } };
}

/** HGETALL as a script answers it: names and values in turn. */
function fieldsOf(flat: readonly string[]): RunFields {
  const fields: Record<string, string> = {};
  for (let i = 0; i < flat.length; i += 2) fields[flat[i] ?? ''] = flat[i + 1] ?? '';
  return fields;
}
