import { upstreamBucket } from '@callyard/shared/admission/admission-call';
import type { Outcome } from '@callyard/shared/call';
import { callFields } from '@callyard/shared/call-log';
import { CallError, failures } from '@callyard/shared/failure';
import type { Attempt, Verdict, WorkerContext } from './attempt.ts';

/**
 * The service behind a tool asked for patience: its bucket is closed until then, on every worker, before anything else
 * of the tool may start.
 */
export async function blockUpstream(
  end: Outcome | CallError | Verdict,
  attempt: Attempt,
  worker: WorkerContext,
): Promise<void> {
  const ms = patienceOf(end);
  const tool = ms === undefined ? undefined : worker.tools.resolve(attempt.envelope.tool);
  if (ms === undefined || !tool) return;
  const { name, policy } = tool.manifest;
  const bucket = upstreamBucket(name, policy.upstreamKey, attempt.envelope.principal);
  worker.blocks.add(bucket, worker.clock.now() + ms);
  await worker.admission.block(bucket, ms);
  worker.log.warn(
    { event: 'tool.blocked', ...callFields(attempt.envelope), per: policy.upstreamKey, ms },
    'a service asked for patience',
  );
}

/** Asked for by a handler, not by us: a refusal tells its own time to try again. */
function patienceOf(end: Outcome | CallError | Verdict): number | undefined {
  if (end instanceof CallError) return failures[end.code].status === 'failed' ? end.retryAfterMs : undefined;
  if ('status' in end) return undefined;
  return end.kind === 'wait' && end.reason === 'retry_after' && end.started ? end.delayMs : undefined;
}
