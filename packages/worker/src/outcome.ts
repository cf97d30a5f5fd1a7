import { failureOutcome, type Outcome, type OutcomeError } from '@callyard/shared/call';
import { failures, type CallError, type FailureCode } from '@callyard/shared/failure';
import { activeTraceId } from '@callyard/shared/telemetry';
import type { Attempt, WorkerContext } from './attempt.ts';

/** The outcome of an attempt that returned a value. */
export function completed(
  value: unknown,
  attempt: Attempt,
  worker: WorkerContext,
  startedAt: number,
  cached: boolean,
): Outcome {
  const attempts = cached ? attempt.attempt - 1 : attempt.attempt;
  const base = outcomeOf(attempt, worker, startedAt);
  return { ...base, status: 'completed', value, attempts, ...(cached ? { cached } : {}) };
}

/** The outcome of a call that gives up. */
export function failed(error: CallError, attempt: Attempt, worker: WorkerContext, startedAt: number): Outcome {
  const { code, message, suggestion, details, retryAfterMs } = error;
  // A tool's words may hold what its result may not.
  const said = worker.redact({
    message,
    ...(suggestion === undefined ? {} : { suggestion }),
    ...(details === undefined ? {} : { details: JSON.parse(JSON.stringify(details)) as unknown }),
  }) as Pick<OutcomeError, 'message' | 'suggestion' | 'details'>;
  return {
    ...outcomeOf(attempt, worker, startedAt),
    ...failureOutcome({ code, ...said, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) }),
    attempts: spent(code, attempt),
  };
}

/** The outcome of a call whose tool failed, and which has an answer all the same. */
export function degraded(
  substitute: Pick<Required<Outcome>, 'value' | 'degraded'>,
  attempt: Attempt,
  worker: WorkerContext,
  startedAt: number,
): Outcome {
  const attempts = spent(substitute.degraded.why, attempt);
  return { ...outcomeOf(attempt, worker, startedAt), status: 'completed', ...substitute, attempts };
}

const spent = (code: FailureCode, { attempt }: Attempt): number =>
  failures[code].spendsAttempt ? attempt : attempt - 1;

function outcomeOf(attempt: Attempt, worker: WorkerContext, startedAt: number): Omit<Outcome, 'status' | 'attempts'> {
  const { envelope, lost, waits, failedAttempts } = attempt;
  const traceId = activeTraceId();
  return {
    v: 1,
    key: envelope.key,
    call: { id: envelope.call.id, name: envelope.call.name },
    tool: {
      name: envelope.tool.name,
      version: worker.tools.resolve(envelope.tool)?.manifest.version ?? envelope.tool.version,
    },
    lost,
    settledBy: 'worker',
    enqueuedAt: envelope.enqueuedAt,
    startedAt,
    durationMs: worker.clock.now() - startedAt,
    waits: [...waits],
    ...(failedAttempts.length === 0 ? {} : { failedAttempts: [...failedAttempts] }),
    worker: worker.id,
    ...(traceId === undefined ? {} : { traceId }),
  };
}
