import { createApprovalRequests, type Approval } from '@callyard/shared/approvals';
import { runIdOf, type Outcome } from '@callyard/shared/call';
import { readCatalog, type LivePool } from '@callyard/shared/catalog';
import type { RunFields } from '@callyard/shared/runs/run-store';
import { findJob, type StandingJob, type UnreadableJob } from '@callyard/shared/standing-job';
import type { Connected } from '../connect.ts';
import { readResponse } from '../durable/durable-record.ts';
import type { ToolCall } from '../model.ts';
import { toolCallsOf } from '../read-calls.ts';
import { placeIn } from './keys.ts';

/** Everything Redis has of a call. */
export interface Found {
  key: string;
  job: StandingJob | undefined;
  /** in place of it */
  unreadable: UnreadableJob | undefined;
  outcome: Outcome | undefined;
  keptMs: number;
  approval: Approval | undefined;
  /** of its durable run */
  run: RunFields | undefined;
  /** as the model proposed it in a durable run */
  proposed: ToolCall | undefined;
  pools: readonly LivePool[];
}

/** The job before the outcome: a worker writes the outcome first, and then its job goes. */
export async function findCall(key: string, { redis, names, ledger, store }: Connected): Promise<Found> {
  const run = await store.read(runIdOf(key));
  const found = await findJob(redis, names, key);
  const [outcome] = await ledger.read([key]);
  const keptMs = await redis.pttl(names.outcome(key));
  const approval = await createApprovalRequests(redis, names).read(key);
  return {
    key,
    ...(found && 'unreadable' in found ? { job: undefined, unreadable: found } : { job: found, unreadable: undefined }),
    outcome,
    keptMs,
    approval,
    run,
    proposed: proposedIn(run, key),
    pools: await readCatalog(redis, names),
  };
}

function proposedIn(run: RunFields | undefined, key: string): ToolCall | undefined {
  const { turn = 0, index = 0 } = placeIn(key) ?? {};
  const response = run?.[`r:${turn}`];
  return response === undefined ? undefined : toolCallsOf(readResponse(response).response.message)[index];
}
