import { describe, expect, it } from 'vitest';
import { rememberCancelledRuns } from '../../packages/worker/src/cancelled-runs.ts';

const call = (runId: string, enqueuedAt = 0) => ({ runId, enqueuedAt });

describe('the runs a worker has heard are cancelled', () => {
  it('are meant with the calls enqueued until then, and no others', () => {
    const runs = rememberCancelledRuns(60_000);
    runs.add('a', 100);
    runs.add('b', Number.POSITIVE_INFINITY);
    expect([call('a', 99), call('a', 100), call('b', 1e15)].map(runs.has)).toEqual([true, true, true]);
    expect([call('a', 101), call('c')].map(runs.has)).toEqual([false, false]);
  });

  it('are meant up to the latest time they were cancelled at, whichever was heard last', () => {
    const runs = rememberCancelledRuns(60_000);
    runs.add('a', 100);
    runs.add('a', 50);
    expect(runs.has(call('a', 100))).toBe(true);
  });

  it('are forgotten after a while, when others are heard of', async () => {
    const runs = rememberCancelledRuns(20);
    runs.add('a', 100);
    expect(runs.has(call('a'))).toBe(true);
    await expect
      .poll(() => {
        runs.add('b', 100);
        return [call('a'), call('b')].map(runs.has);
      })
      .toEqual([false, true]);
  });
});
