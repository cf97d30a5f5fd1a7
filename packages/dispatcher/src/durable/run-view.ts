import type { Ledger } from '@callyard/shared/ledger';
import { RunError, unknownRun } from '@callyard/shared/runs/run-error';
import { recordVersion, type RunFields, type RunStore } from '@callyard/shared/runs/run-store';
import { summaryOf, type RunEnd, type RunState, type RunSummary, type StopReason } from '../run-record.ts';
import { readHistory } from './durable-record.ts';
import type { RunSpec } from './run-spec.ts';

/**
 * A durable run as it stands; its messages are without those that its conversation held before. Times are milliseconds
 * since 1970 on the clock of Redis.
 */
export interface RunView extends RunSummary {
  runId: string;
  state: RunState;
  /** why it ended */
  stop: StopReason | undefined;
  error: string | undefined;
  owner: string;
  userId: string;
  conversationId: string | undefined;
  model: string;
  createdAt: number;
  startedAt: number | undefined;
  endedAt: number | undefined;
  deadlineAt: number;
  cancelled: { at: number; by?: string; why?: string } | undefined;
  /** the dispatcher that drives it at the moment */
  holder: string | undefined;
  /** how often a dispatcher has taken it over, the first time included */
  holds: number;
  traceId: string | undefined;
}

export interface ReadParts {
  store: Pick<RunStore, 'read'>;
  ledger: Pick<Ledger, 'read'>;
}

/** @throws RunError `unknown`, `too_new` */
export async function viewRun(runId: string, owner: string, { store, ledger }: ReadParts): Promise<RunView> {
  const fields = await store.read(runId);
  if (fields?.owner !== owner) throw unknownRun(runId);
  if (Number(fields.v) > recordVersion) {
    throw new RunError('too_new', `Run ${runId} was written by a newer version (record v${fields.v}).`);
  }
  const history = await readHistory(fields, [], ledger);
  const spec = JSON.parse(fields.spec ?? '') as RunSpec;
  const { end } = history;
  return {
    runId,
    state: stateOf(fields, end),
    stop: end?.stop,
    error: end?.error,
    owner,
    userId: spec.principal.userId,
    conversationId: spec.conversationId,
    model: spec.model,
    ...summaryOf(history),
    createdAt: Number(fields.createdAt),
    startedAt: timeIn(fields.startedAt),
    endedAt: timeIn(fields.endedAt),
    deadlineAt: Number(fields.deadlineAt),
    cancelled: cancelledIn(fields),
    holder: fields.holder,
    holds: Number(fields.fence),
    traceId: fields.traceId,
  };
}

/** How a run stands, by its record. */
export function stateOf({ cancelledAt, parkedAt, holder }: RunFields, end: RunEnd | undefined): RunState {
  if (end) return end.state;
  if (cancelledAt !== undefined) return 'cancelled';
  if (parkedAt !== undefined) return 'waiting';
  return holder === undefined ? 'queued' : 'running';
}

function cancelledIn({ cancelledAt, cancelledBy }: RunFields): RunView['cancelled'] {
  if (cancelledAt === undefined) return undefined;
  return { at: Number(cancelledAt), ...(JSON.parse(cancelledBy ?? '{}') as { by?: string; why?: string }) };
}

const timeIn = (field: string | undefined): number | undefined => (field === undefined ? undefined : Number(field));
