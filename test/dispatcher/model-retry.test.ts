import { describe, expect, it } from 'vitest';
import { askWithRetry, pauseAfter, type AskFailure } from '../../packages/dispatcher/src/models/model-retry.ts';

const busy: AskFailure = { retryable: true, message: 'busy', status: 503 };
const options = { maxAttempts: 4, maxRetryAfterMs: 60_000 };

describe('the pause before asking again', () => {
  it.each([
    [1, 500],
    [2, 1_000],
    [5, 8_000],
    [9, 8_000],
  ])('after attempt %i is anything up to %i ms', (attempt, ceiling) => {
    const pauses = Array.from({ length: 200 }, () => pauseAfter(busy, attempt, { ...options, maxAttempts: 10 }));
    expect(Math.max(...pauses)).toBeLessThan(ceiling);
    expect(Math.max(...pauses)).toBeGreaterThan(ceiling / 2);
    expect(Math.min(...pauses)).toBeLessThan(ceiling / 2);
  });

  it('is exactly what Retry-After says, nothing and the longest allowed too', () => {
    const pause = (retryAfterMs: number) => pauseAfter({ ...busy, retryAfterMs }, 1, options);
    expect([pause(0), pause(7), pause(60_000)]).toEqual([0, 7, 60_000]);
  });

  it('is none where Retry-After asks for longer than allowed, and both times are told', () => {
    const pause = () => pauseAfter({ ...busy, retryAfterMs: 60_001 }, 1, options);
    expect(pause).toThrow('busy (it asks to wait 60001 ms; at most 60000 are waited)');
    expect(pause).toThrow(expect.objectContaining({ name: 'ModelError', status: 503 }));
  });

  it('is none after the last attempt, or where asking again does not help', () => {
    expect(() => pauseAfter(busy, 4, options)).toThrow('busy (after 4 attempts)');
    expect(() => pauseAfter({ ...busy, retryable: false }, 1, options)).toThrow(/^busy$/);
  });
});

describe('asking with retries', () => {
  const failing = (times: number, failure: AskFailure) => {
    const asked = { times: 0 };
    const ask = async () => {
      if (++asked.times <= times) throw new Error('no');
      return 'answer';
    };
    const run = (signal = new AbortController().signal) =>
      askWithRetry(ask, { ...options, signal, read: () => failure });
    return { asked, run };
  };

  it('ends with the first answer', async () => {
    const { asked, run } = failing(2, { ...busy, retryAfterMs: 1 });
    expect(await run()).toBe('answer');
    expect(asked.times).toBe(3);
  });

  it('ends after as many attempts as it may make', async () => {
    const { asked, run } = failing(9, { ...busy, retryAfterMs: 1 });
    await expect(run()).rejects.toMatchObject({ name: 'ModelError', status: 503 });
    expect(asked.times).toBe(4);
  });

  it('asks nobody when it is aborted already', async () => {
    const { asked, run } = failing(0, busy);
    const reason = new Error('enough');
    await expect(run(AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(asked.times).toBe(0);
  });

  it('ends with the reason of an abort, not with the failure that it caused', async () => {
    const stop = new AbortController();
    const reason = new Error('enough');
    const ask = () => {
      stop.abort(reason);
      return Promise.reject(new Error('aborted'));
    };
    const read = () => ({ retryable: false, message: 'aborted' });
    await expect(askWithRetry(ask, { ...options, signal: stop.signal, read })).rejects.toBe(reason);
  });

  it('ends a pause with the reason of the abort', async () => {
    const { asked, run } = failing(1, { ...busy, retryAfterMs: 30_000 });
    const stop = new AbortController();
    const reason = new Error('enough');
    const running = run(stop.signal);
    setImmediate(() => stop.abort(reason));
    await expect(running).rejects.toBe(reason);
    expect(asked.times).toBe(1);
  });
});
