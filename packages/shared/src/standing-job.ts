import { parseEnvelope, type Envelope, type FailedAttempt, type Wait } from './call.ts';
import type { Names } from './names.ts';
import type { Redis } from './redis.ts';

/** The job of a call as it stands in BullMQ, and what it remembers between pick-ups. */
export interface StandingJob {
  pool: string;
  envelope: Envelope;
  state: JobState;
  /** the last worker that picked it up, and when */
  worker: string | undefined;
  pickedUpAt: number | undefined;
  /** attempts that counted, before a pick-up that is under way */
  attempts: number;
  lost: number;
  waits: Wait[];
  failedAttempts: FailedAttempt[];
  /** what it waits for since its last pick-up; undefined before the first */
  waiting: { reason: Wait['reason']; since: number } | undefined;
  /** the trace context that travels with it */
  carrier: string | undefined;
}

export type JobState =
  /** `before`: how many jobs of the pool go first */
  | { is: 'waiting'; before: number }
  /** until its time, or until it is let go */
  | { is: 'delayed'; dueAt: number }
  /** `lockMs` is absent where its worker has lost it */
  | { is: 'active'; lockMs?: number }
  /** a dead letter; `reason` is its code and message */
  | { is: 'dead'; at: number; reason: string }
  /** on its way from one to the other */
  | { is: 'moving' };

/** Of the hash in which BullMQ keeps a job: `stc` counts stalls, `pb` is the worker, `tm` in `opts` the trace context. */
const fields = ['data', 'opts', 'progress', 'processedOn', 'stc', 'pb', 'failedReason'] as const;

/** Looks in all pools that ever lived. Undefined where there is no job: it has ended, or was never enqueued. */
export async function findJob(redis: Redis, names: Names, key: string): Promise<StandingJob | undefined> {
  const pools = await redis.zrange(names.pools, '0', '-1');
  const pipeline = redis.pipeline();
  for (const pool of pools) pipeline.hmget(names.job(pool, key), ...fields);
  const answers = ((await pipeline.exec()) ?? []).map(([, values]) => (values ?? []) as (string | null)[]);
  const at = answers.findIndex(([data]) => typeof data === 'string');
  const pool = pools[at];
  const values = answers[at];
  if (pool === undefined || !values) return undefined;
  return toStandingJob(pool, values, await stateOf(redis, names, pool, key, values.at(-1) ?? ''));
}

function toStandingJob(pool: string, values: readonly (string | null)[], state: JobState): StandingJob | undefined {
  const [data, opts, progress, processedOn, stalls, worker] = values;
  const parsed = parseEnvelope(parseObject(data));
  if (parsed.kind !== 'ok') return undefined;
  const { waits = [], failedAttempts = [], attempts = 0, waiting } = parseObject(progress) as Partial<StandingJob>;
  const { tm: carrier } = parseObject(opts) as { tm?: string };
  return {
    pool,
    envelope: parsed.envelope,
    state,
    worker: worker ?? undefined,
    pickedUpAt: processedOn ? Number(processedOn) : undefined,
    attempts,
    lost: Number(stalls ?? 0),
    waits,
    failedAttempts,
    waiting,
    carrier,
  };
}

async function stateOf(redis: Redis, names: Names, pool: string, key: string, reason: string): Promise<JobState> {
  const answers = await redis
    .pipeline()
    .lpos(names.waiting(pool), key)
    .llen(names.waiting(pool))
    .lpos(names.active(pool), key)
    .pttl(names.jobLock(pool, key))
    .zscore(names.delayed(pool), key)
    .zscore(names.failed(pool), key)
    .exec();
  const [waits, waiting, active, lock, delayed, failed] = (answers ?? []).map(([, answer]) => answer);
  // Workers take from the end of the list.
  if (typeof waits === 'number') return { is: 'waiting', before: Number(waiting) - 1 - waits };
  if (typeof active === 'number') return { is: 'active', ...(Number(lock) > 0 ? { lockMs: Number(lock) } : {}) };
  if (typeof delayed === 'string') return { is: 'delayed', dueAt: Math.floor(Number(delayed) / bullStep) };
  return typeof failed === 'string' ? { is: 'dead', at: Number(failed), reason } : { is: 'moving' };
}

/** BullMQ counts the delayed jobs of one ms below its time. */
const bullStep = 4_096;

/** Progress of a job is a number until there is one. */
function parseObject(text: string | null | undefined): object {
  const value: unknown = JSON.parse(text || '{}');
  return typeof value === 'object' && value !== null ? value : {};
}
