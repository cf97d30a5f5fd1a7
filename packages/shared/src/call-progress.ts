import type { Envelope, FailedAttempt, Wait } from './call.ts';
import type { Refusal } from './ledger.ts';

/**
 * What a job remembers between pick-ups, kept as BullMQ's progress so that dashboards show it. BullMQ's own count of
 * attempts is not used: it would fail a job by itself, and the manifest of the running worker decides.
 */
export interface CallProgress {
  waits: Wait[];
  /** the wait that the next pick-up ends */
  waiting: { reason: Wait['reason']; since: number; bucket?: string };
  /** spent so far */
  attempts: number;
  retryAfters: number;
  /** workers lost when this was written: a pick-up that knows of more follows one that died */
  lost?: number;
  /** the latest of the attempts that failed */
  failedAttempts?: FailedAttempt[];
}

/** Attempts that are remembered: enough to see how a tool fails, and no more than a few KB. */
export const maxFailedAttempts = 20;

/** Admission's word on a call that did not start at once: it may start, or it is to be refused. */
export type Said = { kind: 'granted'; at: number; bucket?: string } | ({ kind: 'refused' } & Refusal);

/** What admission writes in front of it: see `note` in shared/admission/lib/bullmq.lua. */
interface AdmissionProgress {
  admission?: { granted: string; bucket?: string } | Omit<Extract<Said, { kind: 'refused' }>, 'kind'>;
}

/** What is known when a worker picks a job up. */
export interface PickedUp {
  now: number;
  progress: unknown;
  /** how often BullMQ found the job without a worker that renews its lock */
  lost: number;
  /** since when workers serve its pool, as far as this one knows */
  servedSince: number;
}

export interface Resumed {
  waits: Wait[];
  /** those among them that this pick-up ended */
  ended: Wait[];
  /** this one included */
  attempt: number;
  retryAfters: number;
  failedAttempts: FailedAttempt[];
  said: Said | undefined;
}

/** Goes on where the last pick-up stopped: closes the waits that this one ends, and counts its attempt. */
export function resume(pickedUp: PickedUp, envelope: Envelope): Resumed {
  const { progress } = pickedUp;
  const said = saidIn(progress);
  if (!isProgress(progress)) {
    const ended = named(firstWaits(pickedUp, said, envelope), envelope);
    return { waits: ended, ended, attempt: 1, retryAfters: 0, failedAttempts: [], said };
  }
  const { waits, waiting, attempts, retryAfters, lost = 0, failedAttempts = [] } = progress;
  const ended = named(waitsSince(waiting, said, pickedUp, pickedUp.lost > lost), envelope);
  return { waits: [...waits, ...ended], ended, attempt: attempts + 1, retryAfters, failedAttempts, said };
}

type Waiting = CallProgress['waiting'];

/** Nobody served the call at first, as its dispatcher says or this worker knows; what follows is a wait as any other. */
function firstWaits(pickedUp: PickedUp, said: Said | undefined, { enqueuedAt, unservedMs = 0 }: Envelope): Wait[] {
  const { now, servedSince, lost } = pickedUp;
  const reason = said?.kind === 'granted' ? 'share' : 'queue';
  const isFirst = lost === 0;
  const served = Math.min(now, Math.max(enqueuedAt + unservedMs, isFirst ? servedSince : 0));
  const since = Math.max(enqueuedAt, served);
  const unserved = since > enqueuedAt ? [{ reason: 'no_worker', ms: since - enqueuedAt } as const] : [];
  return [...unserved, ...waitsSince({ reason, since }, said, pickedUp, lost > 0)];
}

/**
 * The wait for admission, if there was one, and the one for a slot after it. Of a worker that died nothing is known:
 * what it waited for at last, the attempt and the time until that was noticed are one wait, from the last that is.
 */
function waitsSince(waiting: Waiting, said: Said | undefined, { now }: PickedUp, isLost: boolean): Wait[] {
  const { reason, since, bucket } = waiting;
  const ms = (from: number, to: number) => Math.max(0, Math.round(to - from));
  const of = (name: string | undefined) => (name === undefined ? {} : { bucket: name });
  if (said?.kind !== 'granted') {
    if (isLost) return [{ reason: 'lost', ms: ms(since, now) }];
    return [{ reason, ms: ms(since, now), ...of(bucket) }];
  }
  const waitedFor = said.bucket ?? bucket;
  return [
    {
      reason: said.bucket === undefined ? reason : reasonOfBucket(said.bucket),
      ms: ms(since, said.at),
      ...of(waitedFor),
    },
    { reason: isLost ? 'lost' : 'queue', ms: ms(Math.max(since, said.at), now) },
  ];
}

/** Says of limits for each of what they count, where the envelope knows it. */
const named = (waits: readonly Wait[], { limits }: Envelope): Wait[] =>
  waits.map((wait) => {
    const limit = limits.find(({ bucket }) => bucket === wait.bucket);
    return limit ? { ...wait, per: limit.per.join(',') || 'all' } : wait;
  });

/** What a call that waits for a bucket waits for, by the bucket's kind. */
export function reasonOfBucket(bucket: string): Wait['reason'] {
  if (bucket.startsWith('r:')) return 'rate';
  return bucket.startsWith('c:') ? 'concurrency' : 'retry_after';
}

function saidIn(progress: unknown): Said | undefined {
  if (typeof progress !== 'object' || progress === null) return undefined;
  const { admission } = progress as AdmissionProgress;
  if (!admission) return undefined;
  if (!('granted' in admission)) return { kind: 'refused', ...admission };
  const { granted, bucket } = admission;
  return { kind: 'granted', at: Number(granted), ...(bucket === undefined ? {} : { bucket }) };
}

const isProgress = (progress: unknown): progress is CallProgress =>
  typeof progress === 'object' && progress !== null && 'waiting' in progress;
