import type { Envelope, Wait } from '@callyard/shared/call';

/** What a job remembers between pick-ups, kept as BullMQ's progress so that dashboards show it. */
export interface CallProgress {
  waits: Wait[];
  /** the wait that the next pick-up ends */
  waiting: { reason: Wait['reason']; since: number };
  retryAfters: number;
}

const isProgress = (progress: unknown): progress is CallProgress =>
  typeof progress === 'object' && progress !== null && 'waiting' in progress;

/** Closes the wait that this pick-up ends. */
export function waitsUntil(now: number, progress: unknown, envelope: Envelope): Pick<CallProgress, 'waits' | 'retryAfters'> {
  if (!isProgress(progress)) {
    return { waits: [{ reason: 'queue', ms: Math.max(0, now - envelope.enqueuedAt) }], retryAfters: 0 };
  }
  const { waits, waiting, retryAfters } = progress;
  return { waits: [...waits, { reason: waiting.reason, ms: Math.max(0, now - waiting.since) }], retryAfters };
}
