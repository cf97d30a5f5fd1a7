import type { CallError } from '@callyard/shared/failure';
import type { Policy } from '@callyard/shared/policy';

/** A service that asks for patience more often than this is treated as failing. */
const maxRetryAfters = 20;

export interface RetryState {
  /** executions spent, the failed one included */
  attempt: number;
  retryAfters: number;
  /** until the deadline */
  leftMs: number;
}

export interface RetryPlan {
  delayMs: number;
  spendsAttempt: boolean;
}

/**
 * When to try again, or undefined to give up. Exponential backoff with full jitter: uniform in
 * [0, min(maxDelayMs, minDelayMs × 2^(attempt − 1))], after "Exponential Backoff And Jitter" (AWS, 2015).
 * A retry that would start after the deadline is not awaited.
 */
export function planRetry(error: CallError, policy: Policy, state: RetryState): RetryPlan | undefined {
  const plan = delayFor(error, policy, state);
  return plan && plan.delayMs < state.leftMs ? plan : undefined;
}

function delayFor(error: CallError, policy: Policy, { attempt, retryAfters }: RetryState): RetryPlan | undefined {
  if (error.retry === 'never' || policy.effects === 'at-most-once') return undefined;
  if (error.retry !== 'backoff' && retryAfters < maxRetryAfters) {
    return { delayMs: error.retry.afterMs, spendsAttempt: false };
  }
  const { attempts, minDelayMs, maxDelayMs } = policy.retry;
  if (attempt >= attempts) return undefined;
  const ceiling = Math.min(maxDelayMs, minDelayMs * 2 ** (attempt - 1));
  return { delayMs: Math.round(Math.random() * ceiling), spendsAttempt: true };
}
