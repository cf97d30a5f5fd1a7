import type { Envelope, Wait } from '@callyard/shared/call';
import type { Attempt } from './attempt.ts';

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

const isProgress = (progress: unknown): progress is CallProgress =>
  typeof progress === 'object' && progress !== null && 'waiting' in progress;

/** Goes on where the last pick-up stopped: closes the wait that this one ends, and counts its attempt. */
export function resume(
  now: number,
  progress: unknown,
  envelope: Envelope,
): Pick<Attempt, 'waits' | 'attempt' | 'retryAfters'> {
  if (!isProgress(progress)) {
    return { waits: [{ reason: 'queue', ms: Math.max(0, now - envelope.enqueuedAt) }], attempt: 1, retryAfters: 0 };
  }
  const { waits, waiting, attempts, retryAfters } = progress;
  const wait = { reason: waiting.reason, ms: Math.max(0, now - waiting.since) };
  return { waits: [...waits, wait], attempt: attempts + 1, retryAfters };
}
