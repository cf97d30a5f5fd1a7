import { unknownRun } from '@callyard/shared/runs/run-error';
import type { Connected } from '../connect.ts';
import { viewRun, type RunView } from './run-view.ts';

export interface CancelOptions {
  owner: string;
  /** who cancels it, and why: kept with the run */
  by?: string;
  why?: string;
}

/** From here on none of its calls is enqueued; those that wait are settled as `cancelled`, those that run are aborted. */
export async function cancelRun(runId: string, { owner, by, why }: CancelOptions, to: Connected): Promise<RunView> {
  const said = { ...(by === undefined ? {} : { by }), ...(why === undefined ? {} : { why }) };
  const cancelled = await to.store.cancel(runId, owner, said);
  if (cancelled === 'unknown') throw unknownRun(runId);
  if (typeof cancelled === 'object' && cancelled.isFirst) {
    to.audit.write({ event: 'run.cancelled', decision: 'done', run_id: runId, owner, ...said }, 'cancelled');
  }
  return viewRun(runId, owner, to);
}
