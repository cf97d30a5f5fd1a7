import type { Outcome } from '@callyard/shared/call';
import type { Calls } from '../calls.ts';
import { HoldEnd } from '../run-over.ts';

type Runner = Pick<Calls, 'run' | 'runInOrder' | 'refuse'>;

/** Calls that are waited for no longer than `parkAfterMs`: then the hold ends, and the settling of the last brings the run back. */
export function parkable(calls: Calls, runId: string, leave: AbortController, parkAfterMs: number): Runner {
  const patiently = async (gathered: Promise<Outcome[]>): Promise<Outcome[]> => {
    const timer = setInterval(() => {
      const missing = calls.underway(runId);
      if (missing && missing.length > 0) leave.abort(new HoldEnd('parked', missing));
    }, parkAfterMs);
    return gathered.finally(() => clearInterval(timer));
  };
  return {
    run: (...args) => patiently(calls.run(...args)),
    runInOrder: (...args) => patiently(calls.runInOrder(...args)),
    refuse: (...args) => calls.refuse(...args),
  };
}
