import type { Outcome } from '@callyard/shared/call';
import { AlreadySettled, Interruption, type Attempt, type Verdict, type WorkerContext } from './attempt.ts';
import { authorize } from './authorize.ts';
import { classifyError } from './classify.ts';
import { execute } from './execute.ts';
import { open } from './open.ts';
import { completed, failed } from './outcome.ts';
import { record } from './record.ts';
import { redact } from './redact.ts';
import { resolve } from './resolve.ts';
import { planRetry } from './retry.ts';
import { settle } from './settle.ts';
import { validate } from './validate.ts';

/**
 * The way of one call through a worker: resolve → authorize → validate → open → execute → redact → settle → record.
 * A step ends the attempt by throwing what happens next: a `CallError`, an `Interruption`, or `AlreadySettled`.
 */
export async function runCall(attempt: Attempt, worker: WorkerContext): Promise<Verdict> {
  const startedAt = worker.clock.now();
  try {
    const end = await runSteps(attempt, worker).then(
      (value) => completed(value, attempt, worker, startedAt),
      (error: unknown) => failedOrRetry(error, attempt, worker, startedAt),
    );
    if ('kind' in end) return end;
    await settle(end, attempt, worker);
    record(end, attempt, worker);
    return { kind: 'settled', outcome: end };
  } catch (error) {
    return withoutOutcome(error);
  }
}

async function runSteps(attempt: Attempt, worker: WorkerContext): Promise<unknown> {
  const tool = resolve(attempt, worker);
  authorize(attempt, tool);
  const args = validate(attempt, tool, worker);
  await open(attempt, tool, worker);
  const result = await execute(attempt, tool, args, worker);
  return redact(result, worker);
}

function failedOrRetry(error: unknown, attempt: Attempt, worker: WorkerContext, startedAt: number): Outcome | Verdict {
  if (error instanceof Interruption || error instanceof AlreadySettled) throw error;
  const callError = classifyError(error);
  const { envelope } = attempt;
  const policy = worker.tools.resolve(envelope.tool)?.manifest.policy;
  const leftMs = envelope.deadlineAt - worker.clock.now();
  const plan = policy && planRetry(callError, policy, { ...attempt, leftMs });
  if (!plan) return failed(callError, attempt, worker, startedAt);
  worker.log.warn(
    {
      event: 'call.retry',
      job_id: envelope.key,
      tool: envelope.tool.name,
      code: callError.code,
      attempt: attempt.attempt,
      delay_ms: plan.delayMs,
    },
    'an attempt failed; it is tried again',
  );
  return { kind: 'retry', error: callError, ...plan };
}

function withoutOutcome(error: unknown): Verdict {
  if (error instanceof AlreadySettled) return { kind: 'settled', outcome: error.outcome };
  if (!(error instanceof Interruption)) throw error;
  if (error.kind === 'lock-lost') return { kind: 'abandoned' };
  return { kind: 'hand-back', reason: error.kind };
}
