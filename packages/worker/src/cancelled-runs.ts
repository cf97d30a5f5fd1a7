import type { Envelope } from '@callyard/shared/call';

type CallOfRun = Pick<Envelope, 'runId' | 'enqueuedAt'>;

/** Runs that were cancelled a moment ago, as calls of theirs may be on their way from the queue to their handlers. */
export interface CancelledRuns {
  /** `until`: those enqueued later are not meant */
  add(runId: string, until: number): void;
  has(call: CallOfRun): boolean;
}

export function rememberCancelledRuns(forMs: number): CancelledRuns {
  const runs = new Map<string, { until: number; forgetAt: number }>();

  /** The oldest stand first. */
  const forget = (now: number): void => {
    for (const [runId, { forgetAt }] of runs) {
      if (forgetAt > now) return;
      runs.delete(runId);
    }
  };

  return {
    add(runId, until) {
      const now = performance.now();
      forget(now);
      const latest = Math.max(until, runs.get(runId)?.until ?? 0);
      runs.delete(runId);
      runs.set(runId, { until: latest, forgetAt: now + forMs });
    },
    has: ({ runId, enqueuedAt }) => enqueuedAt <= (runs.get(runId)?.until ?? Number.NEGATIVE_INFINITY),
  };
}
