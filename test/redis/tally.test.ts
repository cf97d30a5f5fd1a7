import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createTallyReader, startTally } from '@callyard/shared/tally';
import { createLogger } from '@callyard/shared/log';
import type { Outcome } from '@callyard/shared/call';
import { plainOutcome } from '../support/outcome.ts';
import { ownRedis } from '../support/own-redis.ts';
import { setup, signal } from '../support/setup.ts';

const minute = 60_000;
const log = createLogger({ name: 'test', level: 'silent' });

async function tallied() {
  const { redis, names } = await setup();
  await redis.ping();
  let now = 1_800_000_000_000;
  const clock = { now: () => now, stop: () => {} };
  const process = () =>
    startTally({ redis, names, clock, everyMs: 3_600_000, isKnown: (tool) => tool !== 'made_up', log });
  return {
    redis,
    names,
    process,
    reader: createTallyReader(redis, names, clock),
    pass: (ms: number) => (now += ms),
    /** One that has just ended. */
    outcome: (tool: string, fields: Partial<Outcome> = {}, totalMs = 100): Outcome => ({
      ...plainOutcome('r.0.0'),
      tool: { name: tool, version: '1.0.0' },
      attempts: 1,
      durationMs: 50,
      enqueuedAt: now - totalMs,
      ...fields,
    }),
  };
}

describe('what the fleet did', () => {
  it('is the sum of what its processes have counted', async () => {
    const { process, reader, outcome } = await tallied();
    const [one, two] = [process(), process()];
    for (let i = 0; i < 19; i += 1) one.add(outcome('weather'));
    two.add(outcome('weather', { durationMs: 2_000, attempts: 3, waits: [{ reason: 'rate', ms: 400 }] }, 3_000));
    const error = { code: 'timeout', message: '' } as const;
    two.add(outcome('hotel', { status: 'failed', error, waits: [{ reason: 'rate', ms: 200 }] }));
    two.add(outcome('hotel', { cached: true }));
    await Promise.all([one.stop(), two.stop()]);
    const { tools, waits } = await reader.read(15);
    expect(tools).toMatchObject([
      { tool: 'weather', calls: 20, outcomes: { completed: 20 }, errors: {}, retries: 2, cached: 0 },
      { tool: 'hotel', calls: 2, outcomes: { completed: 1, failed: 1 }, errors: { timeout: 1 }, cached: 1 },
    ]);
    expect(waits).toEqual([{ reason: 'rate', waits: 2, ms: 600 }]);
    const [weather, hotel] = tools;
    expect(weather?.run?.averageMs).toBe((19 * 50 + 2_000) / 20);
    expect(hotel?.run?.averageMs, 'a result of the cache took no handler').toBe(50);
    expect(weather?.run?.p95Ms).toBeCloseTo(50, -1);
    expect(weather?.total?.averageMs).toBe((19 * 100 + 3_000) / 20);
  });

  it.each([3, 47, 980, 65_000])('a quantile of calls of %i ms is off by no more than a twentieth', async (ms) => {
    const { process, reader, outcome } = await tallied();
    const one = process();
    one.add(outcome('weather', { durationMs: ms }));
    await one.stop();
    const p95 = (await reader.read(1)).tools[0]?.run?.p95Ms ?? 0;
    expect(Math.abs(p95 - ms) / ms).toBeLessThan(0.05);
  });

  it('is forgotten by the minute, and each call counts in the minutes that are asked about', async () => {
    const { process, reader, outcome, pass, redis, names } = await tallied();
    for (let i = 0; i < 6; i += 1) {
      const one = process();
      one.add(outcome('weather'));
      await one.stop();
      pass(minute);
    }
    const calls = async (minutes: number) => (await reader.read(minutes)).tools[0]?.calls ?? 0;
    expect([await calls(60), await calls(3), await calls(60), await calls(1)]).toEqual([6, 3, 6, 1]);
    const { spanMs, tools } = await reader.read(60);
    expect(spanMs, 'no longer than it has been counted').toBe(6 * minute);
    expect(tools[0]?.perSecond).toBeCloseTo(1 / 60);
    const hashes = await redis.keys(`${names.tag}:tally:*`);
    expect(hashes).toHaveLength(6);
    for (const key of hashes) expect(await redis.ttl(key)).toBeGreaterThan(60 * 60);
  });

  it('looks back at least as long as it was asked to, and says for how long', async () => {
    const { process, reader, outcome, pass } = await tallied();
    const one = process();
    for (let seconds = 0; seconds < 5 * 60; seconds += 20) {
      one.add(outcome('weather'));
      await one.stop();
      pass(20_000);
    }
    const last = async () => {
      const { spanMs, tools } = await reader.read(1);
      return { spanMs, calls: tools[0]?.calls, perSecond: tools[0]?.perSecond };
    };
    expect(await last(), 'a minute has just begun').toEqual({ spanMs: minute, calls: 3, perSecond: 1 / 20 });
    one.add(outcome('weather'));
    await one.stop();
    pass(20_000);
    expect(await last()).toEqual({ spanMs: minute + 20_000, calls: 4, perSecond: 1 / 20 });
  });

  it('tells tools that nobody serves as one, however many names models make up', async () => {
    const { process, reader, outcome } = await tallied();
    const one = process();
    one.add(outcome('made_up'));
    await one.stop();
    expect((await reader.read(1)).tools.map(({ tool }) => tool)).toEqual(['_OTHER']);
  });

  it('is kept while Redis takes no writes, and added when it does', async () => {
    const { redis, names, refuseWrites, takeWrites } = await ownRedis();
    const told = signal();
    const warnings = createLogger({ name: 'test', destination: { write: () => told.resolve() } });
    const clock = { now: Date.now, stop: () => {} };
    const one = startTally({ redis, names, clock, everyMs: 20, isKnown: () => true, log: warnings });
    await refuseWrites();
    one.add(plainOutcome('r.0.0'));
    await told.promise;
    one.add(plainOutcome('r.0.1'));
    await takeWrites();
    const calls = async () => (await createTallyReader(redis, names, clock).read(2)).tools[0]?.calls;
    await expect.poll(calls).toBe(2);
    await one.stop();
    expect(await calls()).toBe(2);
  });

  it('is waited for no longer than a moment by a process that ends', async () => {
    const { redis, names, freeze } = await ownRedis();
    const clock = { now: Date.now, stop: () => {} };
    const one = startTally({ redis, names, clock, everyMs: 3_600_000, isKnown: () => true, log });
    one.add(plainOutcome('r.0.0'));
    await redis.ping(); // it is connected
    freeze();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    let over = false;
    const stopped = one.stop().then(() => (over = true));
    await vi.advanceTimersByTimeAsync(999);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await stopped).toBe(true);
  });
});
