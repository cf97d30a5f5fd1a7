import type { Envelope } from '@callyard/shared/call';
import { Interruption } from './attempt.ts';
import { Cancelled } from './cancelled.ts';
import { rememberCancelledRuns } from './cancelled-runs.ts';

/** The jobs this worker holds at the moment, and until when their locks are known to be ours. */
export interface HeldJobs {
  /** `fetchedAt`, on the clock of this process: a job that it fetched before it was stopped for long is lost already. */
  hold(key: string, envelope: Envelope, abort: AbortController, fetchedAt: number): void;
  release(key: string): void;
  /** Loses the job now where its lock is over. */
  check(key: string): void;
  /** Ends the calls of a run that were enqueued until then as cancelled, also those that come to be held a moment later. */
  cancelRun(runId: string, until: number): void;
  /** Ends these calls as cancelled. */
  cancel(keys: readonly string[]): void;
  /** the calls of these jobs that are held; default all */
  calls(keys?: readonly string[]): Envelope[];
  /** BullMQ renewed these locks */
  renewed(keys: readonly string[]): void;
  /** BullMQ says these locks are no longer ours */
  lost(keys: readonly string[]): void;
  /** From now on this worker takes no job: one that was fetched on the way goes straight back. */
  close(): void;
  readonly closed: boolean;
  abortAll(reason: Interruption): void;
  /** resolves when no job is held; at once when none is */
  idle(): Promise<void>;
  readonly count: number;
  stop(): void;
}

interface Held {
  envelope: Envelope;
  abort: AbortController;
  lockedUntil: number;
}

/**
 * Aborts a handler when its lock is lost, also when nobody says so: with Redis out of reach renewals simply fail, so a
 * lock that has not been renewed for `lockMs` counts as lost.
 */
export function watchHeldJobs(lockMs: number): HeldJobs {
  const held = new Map<string, Held>();
  // Longer than a job takes from the queue to its handler; and what this misses is found as its lock is renewed.
  const cancelledRuns = rememberCancelledRuns(lockMs);
  let onIdle: (() => void)[] = [];
  let closed = false;

  const cancel = (key: string): void => held.get(key)?.abort.abort(new Cancelled());
  const lose = (key: string): void => held.get(key)?.abort.abort(new Interruption('lock-lost'));
  const check = (key: string): void => {
    const job = held.get(key);
    if (job && job.lockedUntil < performance.now()) lose(key);
  };
  const loseLapsed = (): void => [...held.keys()].forEach(check);
  const timer = setInterval(loseLapsed, lockMs / 4);
  timer.unref();

  return {
    hold(key, envelope, abort, fetchedAt) {
      const leftMs = lockMs - (Date.now() - fetchedAt);
      held.set(key, { envelope, abort, lockedUntil: performance.now() + leftMs });
      if (leftMs <= 0) lose(key);
      if (cancelledRuns.has(envelope)) cancel(key);
    },
    release(key) {
      held.delete(key);
      if (held.size > 0) return;
      for (const resolve of onIdle) resolve();
      onIdle = [];
    },
    check,
    cancelRun(runId, until) {
      cancelledRuns.add(runId, until);
      for (const [key, { envelope }] of held) if (envelope.runId === runId && cancelledRuns.has(envelope)) cancel(key);
    },
    cancel: (keys) => keys.forEach(cancel),
    calls: (keys = [...held.keys()]) => keys.flatMap((key) => held.get(key)?.envelope ?? []),
    renewed(keys) {
      loseLapsed(); // a process that was stopped for long may read only now that they were renewed before
      const lockedUntil = performance.now() + lockMs;
      for (const key of keys) {
        const job = held.get(key);
        if (job) job.lockedUntil = lockedUntil;
      }
    },
    lost: (keys) => keys.forEach(lose),
    close() {
      closed = true;
    },
    get closed() {
      return closed;
    },
    abortAll(reason) {
      for (const { abort } of held.values()) abort.abort(reason);
    },
    idle: () => (held.size === 0 ? Promise.resolve() : new Promise((resolve) => onIdle.push(resolve))),
    get count() {
      return held.size;
    },
    stop: () => clearInterval(timer),
  };
}
