import { parseEnvelope, type Envelope, type FailedAttempt, type Wait } from './call.ts';
import { resume, type CallProgress } from './call-progress.ts';
import type { Names } from './names.ts';
import { answersOf, type Redis } from './redis.ts';

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
  /** those that have ended */
  waits: Wait[];
  failedAttempts: FailedAttempt[];
  /** what it waits for since its last pick-up; undefined before the first */
  waiting: CallProgress['waiting'] | undefined;
  /** as its last pick-up, and admission, left it */
  progress: object;
  /** the trace context that travels with it */
  carrier: string | undefined;
}

/** A job whose data is no envelope, or one of a newer version. */
export interface UnreadableJob {
  pool: string;
  unreadable: string;
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
export async function findJob(
  redis: Redis,
  names: Names,
  key: string,
): Promise<StandingJob | UnreadableJob | undefined> {
  const pools = await redis.zrange(names.pools, '0', '-1');
  const pipeline = redis.pipeline();
  for (const pool of pools) pipeline.hexists(names.job(pool, key), 'data');
  const isThere = (await answersOf(pipeline)).map((count) => count === 1);
  const pool = pools[isThere.indexOf(true)];
  return pool === undefined ? undefined : readJob(redis, names, pool, key);
}

/** The job of a call in this pool; undefined where it stands there no more. */
export async function readJob(
  redis: Redis,
  names: Names,
  pool: string,
  key: string,
): Promise<StandingJob | UnreadableJob | undefined> {
  const asked = redis
    .pipeline()
    .hmget(names.job(pool, key), ...fields)
    .time()
    .lpos(names.waiting(pool), key)
    .llen(names.waiting(pool))
    .lpos(names.active(pool), key)
    .pttl(names.jobLock(pool, key))
    .zscore(names.delayed(pool), key)
    .zscore(names.failed(pool), key);
  const [values, time, ...places] = await answersOf(asked);
  const [data, ...rest] = values as (string | null)[];
  if (typeof data !== 'string') return undefined;
  const parsed = parseEnvelope(objectIn(data));
  if (parsed.kind === 'too-new') return { pool, unreadable: `its envelope has version ${parsed.v}, which is newer` };
  if (parsed.kind === 'broken') return { pool, unreadable: parsed.why };
  const [seconds, micros] = (time as string[]).map(Number) as [number, number];
  const now = seconds * 1_000 + Math.floor(micros / 1_000);
  return toStandingJob({ pool, envelope: parsed.envelope, state: stateIn(places, rest.at(-1) ?? '') }, rest, now);
}

/** A worker whose clock is ahead of that of Redis has picked up nothing later than now. */
function toStandingJob(
  job: Pick<StandingJob, 'pool' | 'envelope' | 'state'>,
  [opts, told, processedOn, stalls, worker]: readonly (string | null)[],
  now: number,
): StandingJob {
  const progress = objectIn(told) ?? {};
  const { waits = [], failedAttempts = [], attempts = 0, waiting } = progress as Partial<CallProgress>;
  const { tm: carrier } = (objectIn(opts) ?? {}) as { tm?: string };
  const pickedUpAt = processedOn ? Math.min(Number(processedOn), now) : undefined;
  const standing = { ...job, progress, lost: Number(stalls ?? 0), pickedUpAt };
  const isPickedUp = job.state.is === 'active' || job.state.is === 'dead';
  return {
    ...standing,
    worker: worker ?? undefined,
    attempts,
    waits: isPickedUp && pickedUpAt !== undefined ? resumed(standing, pickedUpAt) : waits,
    failedAttempts,
    waiting,
    carrier,
  };
}

type Resumable = Pick<StandingJob, 'envelope' | 'progress' | 'lost'>;

/** Its waits as a worker would tell them that picked it up then. */
const resumed = ({ envelope, progress, lost }: Resumable, now: number): Wait[] =>
  resume({ now, progress, lost, servedSince: 0 }, envelope).waits;

/** Its waits were it ended at this time: a worker that holds it has ended the last, one that is gone has not. */
export function waitsUntil(job: StandingJob, now: number): Wait[] {
  if (isHeld(job)) return job.waits;
  return resumed(isLost(job) ? { ...job, lost: job.lost + 1 } : job, now);
}

export const isHeld = ({ state }: StandingJob): boolean => state.is === 'active' && state.lockMs !== undefined;

/** Its worker is gone, and nobody has noticed so far. */
export const isLost = ({ state }: StandingJob): boolean => state.is === 'active' && state.lockMs === undefined;

function stateIn([waits, waiting, active, lock, delayed, failed]: readonly unknown[], reason: string): JobState {
  // Workers take from the end of the list.
  if (typeof waits === 'number') return { is: 'waiting', before: Number(waiting) - 1 - waits };
  if (typeof active === 'number') return { is: 'active', ...(Number(lock) > 0 ? { lockMs: Number(lock) } : {}) };
  if (typeof delayed === 'string') return { is: 'delayed', dueAt: Math.floor(Number(delayed) / bullStep) };
  return typeof failed === 'string' ? { is: 'dead', at: Number(failed), reason } : { is: 'moving' };
}

/** BullMQ counts the delayed jobs of one ms below its time. */
const bullStep = 4_096;

/** Progress of a job is a number until there is one. */
function objectIn(text: string | null | undefined): object | undefined {
  try {
    const value: unknown = JSON.parse(text || '{}');
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined; // not written by any process of ours
  }
}
