import { argumentsIn } from '@callyard/shared/arguments';
import type { Outcome, Wait } from '@callyard/shared/call';
import type { DeadJob } from '@callyard/shared/dead-jobs';
import type { LastRetry, RetryState } from '@callyard/shared/dead-retries';
import type { FailureCode } from '@callyard/shared/failure';
import type { Principal } from '@callyard/shared/principal';
import type { Redactor } from '@callyard/shared/redact';
import { traceIdIn } from '@callyard/shared/telemetry-context';

/** A call that failed for good, redacted as logs are. */
export interface DeadLetter {
  key: string;
  /** the original call, where this one is a retry */
  replayOf?: string;
  tool: { name: string; version: string; range: string };
  principal: Principal;
  conversationId?: string;
  /** as JSON, or the text where it is none */
  arguments: unknown;
  error: { code: FailureCode; message: string };
  enqueuedAt: number;
  /** when the last pick-up began */
  startedAt: number;
  failedAt: number;
  deadlineAt: number;
  attempts: number;
  lost: number;
  /** those before the last pick-up */
  waits: Wait[];
  idempotencyKey: string;
  pool: string;
  worker?: string;
  traceId?: string;
  /** its latest retry */
  retry?: { key: string; state: RetryState; code?: FailureCode };
}

/** A letter, and its outcome as long as the ledger has it. */
export interface ShownLetter extends DeadLetter {
  outcome?: Outcome;
}

export function describeLetter(job: DeadJob, last: LastRetry | undefined, redact: Redactor): DeadLetter {
  const { key, pool, envelope, code, message, failedAt, startedAt, attempts, lost, waits, worker, carrier } = job;
  const { principal, conversationId, replayOf, idempotencyKey, enqueuedAt, deadlineAt } = envelope;
  const { name, version, range } = envelope.tool;
  const traceId = traceIdIn(carrier);
  return {
    key,
    ...(replayOf === undefined ? {} : { replayOf }),
    tool: { name, version, range },
    principal,
    ...(conversationId === undefined ? {} : { conversationId }),
    arguments: redact(argumentsIn(envelope.call.arguments)),
    error: { code, message: String(redact(message)) },
    enqueuedAt,
    startedAt,
    failedAt,
    deadlineAt,
    attempts,
    lost,
    waits,
    idempotencyKey,
    pool,
    ...(worker === undefined ? {} : { worker }),
    ...(traceId === undefined ? {} : { traceId }),
    ...(last ? { retry: describeRetry(last) } : {}),
  };
}

const describeRetry = ({ mark: { key }, state, code }: LastRetry): NonNullable<DeadLetter['retry']> => ({
  key,
  state,
  ...(code === undefined ? {} : { code }),
});
