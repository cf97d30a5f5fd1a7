import type { Envelope, Wait } from '@callyard/shared/call';
import type { Attempt, Said } from './attempt.ts';

/**
 * What a job remembers between pick-ups, kept as BullMQ's progress so that dashboards show it. BullMQ's own count of
 * attempts is not used: it would fail a job by itself, and the manifest of the running worker decides.
 */
export interface CallProgress {
  waits: Wait[];
  /** the wait that the next pick-up ends */
  waiting: { reason: Wait['reason']; since: number };
  /** spent so far */
  attempts: number;
  retryAfters: number;
}

/** What admission writes in front of it: see `note` in shared/admission/lib/bullmq.lua. */
interface AdmissionProgress {
  admission?: { granted: string; bucket?: string } | Omit<Extract<Said, { kind: 'refused' }>, 'kind'>;
}

type Resumed = Pick<Attempt, 'waits' | 'attempt' | 'retryAfters' | 'said'>;

/** Goes on where the last pick-up stopped: closes the waits that this one ends, and counts its attempt. */
export function resume(now: number, progress: unknown, { enqueuedAt }: Envelope): Resumed {
  const said = saidIn(progress);
  if (!isProgress(progress)) {
    const first = said?.kind === 'granted' ? 'share' : 'queue';
    return { waits: waitsSince(enqueuedAt, first, said, now), attempt: 1, retryAfters: 0, said };
  }
  const { waits, waiting, attempts, retryAfters } = progress;
  const ended = waitsSince(waiting.since, waiting.reason, said, now);
  return { waits: [...waits, ...ended], attempt: attempts + 1, retryAfters, said };
}

/** The wait for admission, if there was one, and the one for a slot after it. */
function waitsSince(since: number, reason: Wait['reason'], said: Said | undefined, now: number): Wait[] {
  const ms = (from: number, to: number) => Math.max(0, Math.round(to - from));
  if (said?.kind !== 'granted') return [{ reason, ms: ms(since, now) }];
  return [
    { reason: said.bucket === undefined ? reason : reasonOfBucket(said.bucket), ms: ms(since, said.at) },
    { reason: 'queue', ms: ms(said.at, now) },
  ];
}

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
