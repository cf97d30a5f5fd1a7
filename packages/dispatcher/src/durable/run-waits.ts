import { goneRun, unknownRun } from '@callyard/shared/runs/run-error';
import type { RunStore } from '@callyard/shared/runs/run-store';
import type { Logger } from 'pino';

/** A notice may be lost: ends that are waited for are looked at every so many sweeps, too. */
const sweepsPerLook = 15;

/** Sweeps that a run may be late: whoever drives it has a deadline of its own, and a little to do after it. */
const sweepsLate = 5;

/** Waits for the ends of durable runs, whoever drives them. */
export interface RunWaits {
  /**
   * Resolves when the run has ended; rejects with the reason of `signal`.
   * @throws RunError `unknown`; `gone` where it was there and is no more
   */
  ended(runId: string, owner: string, signal?: AbortSignal): Promise<void>;
  /** the run has ended */
  onEnded(runId: string): void;
  /** What was announced while the connection was down was announced to nobody. */
  lookAgain(): void;
  stop(): void;
}

interface Waiting {
  owner: string;
  resolve: () => void;
  reject: (error: unknown) => void;
}

export interface RunWaitsOptions {
  store: Pick<RunStore, 'await'>;
  dispatcher: string;
  sweepMs: number;
  /** ends a run that is past its deadline, and that nobody drives */
  endOverdue: (runId: string) => Promise<void>;
  log: Logger;
}

export function watchRunEnds({ store, dispatcher, sweepMs, endOverdue, log }: RunWaitsOptions): RunWaits {
  const waits = new Map<string, Set<Waiting>>();

  const settle = (runId: string, settleOne: (waiting: Waiting) => void): void => {
    const all = waits.get(runId) ?? [];
    waits.delete(runId);
    for (const waiting of all) settleOne(waiting);
  };
  const ask = (runId: string, owner: string) => store.await(runId, owner, dispatcher, sweepsLate * sweepMs);
  const heed = async (runId: string, standing: Awaited<ReturnType<typeof ask>>): Promise<void> => {
    if (standing === 'ended') settle(runId, ({ resolve }) => resolve());
    if (standing === 'unknown') settle(runId, ({ reject }) => reject(goneRun(runId)));
    if (standing === 'overdue') await endOverdue(runId); // which is told as any end
  };
  const lookAgain = (): void => {
    for (const [runId, all] of waits) {
      const [{ owner } = { owner: '' }] = all;
      ask(runId, owner)
        .then((standing) => heed(runId, standing))
        .catch((error: unknown) =>
          log.warn({ event: 'run.unread', err: error, run_id: runId }, 'a run could not be read'),
        );
    }
  };
  const timer = setInterval(lookAgain, sweepsPerLook * sweepMs);
  timer.unref();

  return {
    async ended(runId, owner, signal) {
      signal?.throwIfAborted();
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      promise.catch(() => {}); // it may end while nobody awaits it yet
      const waiting: Waiting = { owner, resolve, reject };
      const all = waits.get(runId) ?? new Set();
      waits.set(runId, all.add(waiting));
      const onAbort = () => reject(signal?.reason);
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        const standing = await ask(runId, owner); // only now, as it may end the moment it is asked about
        if (standing === 'unknown') throw unknownRun(runId);
        await heed(runId, standing);
        await promise;
      } finally {
        all.delete(waiting);
        if (all.size === 0 && waits.get(runId) === all) waits.delete(runId);
        signal?.removeEventListener('abort', onAbort);
      }
    },
    onEnded: (runId) => settle(runId, ({ resolve }) => resolve()),
    lookAgain,
    stop() {
      clearInterval(timer);
      const closed = new Error('the dispatcher is closed');
      for (const runId of waits.keys()) settle(runId, ({ reject }) => reject(closed));
    },
  };
}
