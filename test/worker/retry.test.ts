import { describe, expect, it } from 'vitest';
import { CallError, type Retry } from '@callyard/shared/failure';
import type { Policy } from '@callyard/shared/policy';
import { planRetry } from '../../packages/worker/src/retry.ts';

const policy: Policy = {
  timeoutMs: 1_000,
  retry: { attempts: 3, minDelayMs: 100, maxDelayMs: 150 },
  maxLost: 3,
  requires: [],
  effects: 'idempotent',
  hosts: [],
  upstreamKey: 'tool',
  limits: [],
  sequential: false,
  isolate: false,
};
const failing = (retry: Retry) => new CallError('upstream_error', 'no', { retry });
const state = { attempt: 1, retryAfters: 0, leftMs: 60_000 };

describe('planning a retry', () => {
  it('doubles the ceiling with each attempt up to its maximum, and spends one', () => {
    for (const [attempt, ceiling] of [
      [1, 100],
      [2, 150],
    ] as const) {
      const plans = Array.from({ length: 200 }, () => planRetry(failing('backoff'), policy, { ...state, attempt }));
      const delays = plans.map((plan) => plan?.delayMs ?? Number.NaN);
      expect(Math.max(...delays)).toBeLessThanOrEqual(ceiling);
      expect(Math.max(...delays)).toBeGreaterThan(ceiling / 2);
      expect(Math.min(...delays)).toBeLessThan(ceiling / 2);
      expect(plans[0]?.spendsAttempt).toBe(true);
    }
  });

  it('gives up when the attempts are spent', () => {
    expect(planRetry(failing('backoff'), policy, { ...state, attempt: 3 })).toBeUndefined();
  });

  it('gives up at once where the error says so', () => {
    expect(planRetry(failing('never'), policy, state)).toBeUndefined();
  });

  it('waits as long as the other side asked, without spending an attempt', () => {
    const plan = planRetry(failing({ afterMs: 7_000 }), policy, { ...state, attempt: 3 });
    expect(plan).toEqual({ delayMs: 7_000, spendsAttempt: false });
  });

  it('treats a service that asks for patience a 21st time as failing', () => {
    const error = failing({ afterMs: 1 });
    expect(planRetry(error, policy, { ...state, retryAfters: 19 })?.spendsAttempt).toBe(false);
    expect(planRetry(error, policy, { ...state, retryAfters: 20 })?.spendsAttempt).toBe(true);
    expect(planRetry(error, policy, { ...state, retryAfters: 20, attempt: 3 })).toBeUndefined();
  });

  it('does not await a retry that would start after the deadline', () => {
    expect(planRetry(failing({ afterMs: 5_000 }), policy, { ...state, leftMs: 5_000 })).toBeUndefined();
  });

  it('never repeats a call that may take effect at most once', () => {
    const atMostOnce: Policy = { ...policy, effects: 'at-most-once' };
    expect(planRetry(failing('backoff'), atMostOnce, state)).toBeUndefined();
    expect(planRetry(failing({ afterMs: 1 }), atMostOnce, state)).toBeUndefined();
  });
});
