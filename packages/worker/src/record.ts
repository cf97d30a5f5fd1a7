import type { Outcome } from '@callyard/shared/call';
import { failures } from '@callyard/shared/failure';
import type { Attempt, WorkerContext } from './attempt.ts';

/** One line for every call that did not complete; a refused one also says who asked (the audit line). */
export function record(outcome: Outcome, { envelope }: Attempt, { log }: WorkerContext): void {
  const { error, key, tool } = outcome;
  if (outcome.degraded) {
    const { why, by } = outcome.degraded;
    log.warn({ event: 'call.degraded', job_id: key, tool: tool.name, code: why, by }, 'completed without its tool');
    return;
  }
  if (!error) {
    log.debug({ event: 'call.completed', job_id: key, tool: tool.name, duration_ms: outcome.durationMs }, 'completed');
    return;
  }
  const line = {
    event: `call.${outcome.status}`,
    job_id: key,
    run_id: envelope.runId,
    tool: tool.name,
    code: error.code,
  };
  if (outcome.status === 'refused') {
    const { owner, userId, roles } = envelope.principal;
    log.info({ ...line, audit: true, owner, user_id: userId, roles, details: auditable(outcome) }, 'refused');
    return;
  }
  log[failures[error.code].level]({ ...line, attempts: outcome.attempts, lost: outcome.lost }, error.message);
}

/** Details of a permission are names of permissions; those of arguments would be content. */
const auditable = ({ error }: Outcome): unknown => (error?.code === 'permission_denied' ? error.details : undefined);
