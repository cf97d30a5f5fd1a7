import type { Outcome } from '@callyard/shared/call';
import { callFields } from '@callyard/shared/call-log';
import { CallError } from '@callyard/shared/failure';
import { count } from '@callyard/shared/metrics';
import { approve } from './approve.ts';
import { AlreadySettled, Interruption, MustWait, type Attempt, type Verdict, type WorkerContext } from './attempt.ts';
import { authorize } from './authorize.ts';
import { cancelOf } from './cancelled.ts';
import { classifyError } from './classify.ts';
import { execute } from './execute.ts';
import { degrade } from './fallback.ts';
import { keep } from './keep.ts';
import { open } from './open.ts';
import { completed, degraded, failed } from './outcome.ts';
import { noteAllowed } from './privileged.ts';
import { record } from './record.ts';
import { redact } from './redact.ts';
import { resolve } from './resolve.ts';
import { planRetry } from './retry.ts';
import { settle } from './settle.ts';
import { blockUpstream } from './upstream.ts';
import { validate } from './validate.ts';

/**
 * The way of one call through a worker: resolve → authorize → validate → approve → open → execute → redact → settle → record.
 * A step ends the attempt by throwing what happens next: a `CallError`, an `Interruption`, or `AlreadySettled`.
 */
export async function runCall(attempt: Attempt, worker: WorkerContext): Promise<Verdict> {
  const startedAt = worker.clock.now();
  try {
    const end = await runSteps(attempt, worker).then(
      ({ value, cached }) => completed(value, attempt, worker, startedAt, cached),
      (error: unknown) => retryOrGiveUp(error, attempt, worker),
    );
    await blockUpstream(end, attempt, worker);
    if ('kind' in end) return end;
    const outcome = end instanceof CallError ? await withoutTool(end, attempt, worker, startedAt) : end;
    await settle(outcome, attempt, worker, () => record(outcome, attempt, worker));
    return { kind: 'settled', outcome, adopted: false };
  } catch (error) {
    return withoutOutcome(error);
  }
}

async function runSteps(attempt: Attempt, worker: WorkerContext): Promise<{ value: unknown; cached: boolean }> {
  attempt.abort.signal.throwIfAborted(); // its run was cancelled while it was on its way here, say
  const tool = resolve(attempt, worker);
  authorize(attempt, tool);
  const args = validate(attempt, tool, worker);
  await asked(approve(attempt, tool, args, worker));
  const found = await asked(open(attempt, tool, args, worker));
  noteAllowed(attempt, tool, worker);
  if (found) return { value: found.value, cached: true };
  const result = await execute(attempt, tool, args, worker);
  const value = redact(result, worker);
  keep(value, attempt, tool, worker);
  return { value, cached: false };
}

/** What Redis could not answer is no failure of the tool: the job is left, and found again when its lock ends. */
class Unanswered extends Error {}

async function asked<T>(answer: Promise<T>): Promise<T> {
  return answer.catch((error: unknown) => {
    if (error instanceof CallError || isTyped(error)) throw error;
    throw new Unanswered('Redis could not be asked', { cause: error });
  });
}

const isTyped = (error: unknown): boolean =>
  error instanceof Interruption || error instanceof AlreadySettled || error instanceof MustWait;

function retryOrGiveUp(error: unknown, attempt: Attempt, worker: WorkerContext): CallError | Verdict {
  if (isTyped(error) || error instanceof Unanswered) throw error;
  const callError = classifyError(error);
  const { envelope } = attempt;
  const policy = worker.tools.resolve(envelope.tool)?.manifest.policy;
  const leftMs = envelope.deadlineAt - worker.clock.now();
  const plan = policy && planRetry(callError, policy, { ...attempt, leftMs });
  if (!plan) return callError;
  worker.log.warn(
    {
      event: 'call.retry',
      ...callFields(envelope),
      code: callError.code,
      attempt: attempt.attempt,
      delay_ms: plan.delayMs,
    },
    'an attempt failed; it is tried again',
  );
  count('callyard.call.retries', { 'gen_ai.tool.name': envelope.tool.name, 'error.type': callError.code });
  const { delayMs } = plan;
  if (plan.spendsAttempt) return { kind: 'retry', error: callError, delayMs };
  return { kind: 'wait', reason: 'retry_after', error: callError, delayMs, started: true };
}

async function withoutTool(
  error: CallError,
  attempt: Attempt,
  worker: WorkerContext,
  startedAt: number,
): Promise<Outcome> {
  const substitute = await degrade(error, attempt, worker);
  if (substitute) return degraded(substitute, attempt, worker, startedAt);
  return failed(cancelOf(attempt) ?? error, attempt, worker, startedAt);
}

function withoutOutcome(error: unknown): Verdict {
  if (error instanceof AlreadySettled) return { kind: 'settled', outcome: error.outcome, adopted: true };
  if (error instanceof MustWait) {
    const { reason, delayMs, bucket } = error;
    return { kind: 'wait', reason, delayMs, started: false, ...(bucket === undefined ? {} : { bucket }) };
  }
  if (!(error instanceof Interruption)) throw error;
  if (error.kind === 'lock-lost') return { kind: 'abandoned' };
  return { kind: 'hand-back', reason: error.kind };
}
