import type { Outcome } from '@callyard/shared/call';
import { deadLetterTtlMs } from '@callyard/shared/dead-jobs';
import { isFailureCode } from '@callyard/shared/failure';
import type { Redactor } from '@callyard/shared/redact';
import type { CallEnd } from './story.ts';
import type { Found } from './found.ts';

/** How a call ended: as the ledger has it, else as its dead letter tells. */
export function endOf({ outcome, keptMs, job }: Found, now: number, redact: Redactor): CallEnd | undefined {
  if (outcome) return { ...endIn(outcome, redact), ...(keptMs > 0 ? { keptUntil: now + keptMs } : {}) };
  if (job?.state.is !== 'dead') return undefined;
  const { at, reason } = job.state;
  const [, code, message = ''] = /^(\w+): (.*)$/s.exec(reason) ?? [];
  return {
    status: 'failed',
    ...(isFailureCode(code) ? { error: { code, message: String(redact(message)) } } : {}),
    settledBy: 'worker',
    totalMs: at - job.envelope.enqueuedAt,
    waitedMs: waited(job.waits),
    keptUntil: at + deadLetterTtlMs,
  };
}

function endIn(outcome: Outcome, redact: Redactor): CallEnd {
  const { status, error, cached, degraded, settledBy, enqueuedAt, durationMs, waits } = outcome;
  const endedAt = endedAtOf(outcome);
  return {
    status,
    ...(error ? { error: { code: error.code, message: String(redact(error.message)) } } : {}),
    ...(cached ? { cached } : {}),
    ...(degraded ? { degraded } : {}),
    settledBy,
    ...(endedAt === undefined ? {} : { totalMs: endedAt - enqueuedAt }),
    ...(durationMs === undefined ? {} : { ranMs: durationMs }),
    waitedMs: waited(waits),
  };
}

const waited = (waits: Outcome['waits']): number => waits.reduce((sum, { ms }) => sum + ms, 0);

/** Unknown of a call that was never enqueued, and of one that its dispatcher ended before it wrote that down. */
export function endedAtOf({ startedAt, durationMs, endedAt }: Outcome): number | undefined {
  return startedAt === undefined || durationMs === undefined ? endedAt : startedAt + durationMs;
}
