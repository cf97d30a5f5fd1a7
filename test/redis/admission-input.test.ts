import { describe, expect, it } from 'vitest';
import { readLimitRules } from '@callyard/shared/admission/limit-rules';
import type { Limit } from '@callyard/shared/admission/limit';
import { resolveLimits } from '@callyard/shared/admission/resolve-limits';
import { admissionBench, keys, rate } from '../support/admission.ts';

const [a, b] = keys('a', 2) as [string, string];
const principalOf = (userId: string) => ({ owner: 'acme', userId, roles: [], permissions: [] });
const limitsOf = (limit: Limit, userId = 'mia', args: unknown = {}) =>
  resolveLimits([limit], { tool: 't', principal: principalOf(userId), args });

describe('a user', () => {
  const ids = {
    'of 10 kB': 'm'.repeat(10_000),
    'with braces, colons and stars': '{}:*',
    'with the tag of another installation': '{callyard:0}:pool:p1',
    'with spaces, line ends and commas': 'a b\r\nc,d=1@2',
    'with characters of every plane': '💥\u0000é"\\',
  };
  it.each(Object.entries(ids))('%s has a lane, buckets and a share like any other', async (_name, user) => {
    const bench = await admissionBench(10, { ownClock: true });
    const limits = limitsOf({ per: ['user'], concurrency: 1 }, user);
    await bench.add([a, b], { user, limits });
    expect(await bench.out()).toEqual([a]);
    expect(await bench.tell(a)).toMatchObject({ waiting: 1 });
    const names = await bench.redis.keys(`${bench.names.tag}:*`);
    expect(names.filter((key) => key.includes(user))).toEqual([]);
    expect(Math.max(...names.map((key) => key.length))).toBeLessThan(200);
    await bench.pickUp();
    await bench.settle(a);
    expect(await bench.out()).toEqual([b]);
  });
});

describe('a limit at its bounds', () => {
  const most = 1_000_000_000;
  const longest = 31 * 24 * 3_600_000;
  const bounds: [string, Limit, startsAtOnce: number][] = [
    ['the slowest rate', { per: [], rate: { limit: 1, periodMs: longest } }, 1],
    ['the fastest rate', { per: [], rate: { limit: 1_000, periodMs: 1 } }, 5],
    ['the largest rate and burst', { per: [], rate: { limit: most, periodMs: longest, burst: most } }, 5],
    ['one at a time', { per: [], concurrency: 1 }, 1],
    ['a billion at a time', { per: [], concurrency: most }, 5],
    ['a quota of one in the longest window', { per: [], quota: { limit: 1, windowMs: longest } }, 1],
    ['a billion in a millisecond', { per: [], quota: { limit: most, windowMs: 1 }, cost: 1_000_000 }, 5],
  ];
  it.each(bounds)('%s', async (_name, limit, startsAtOnce) => {
    expect(() => readLimitRules({ limits: [limit] })).not.toThrow();
    const bench = await admissionBench(10, { ownClock: true });
    await bench.add(keys('a', 5), { limits: limitsOf(limit) });
    expect(await bench.out()).toEqual(keys('a', startsAtOnce));
    const [told] = (await bench.tell(a)).limits.slice(-1);
    expect(told?.remaining).toBeGreaterThanOrEqual(0);
    for (const key of keys('a', startsAtOnce)) {
      await bench.pickUp();
      await bench.settle(key, false);
    }
    const after = (await bench.tell(a)).limits.at(-1);
    expect(after?.remaining).toBeGreaterThanOrEqual(told?.remaining as number);
  });

  it('counts a cost that no number can be larger than, and refuses it', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    const limit: Limit = { per: [], quota: { limit: 5, windowMs: 1_000 }, cost: { pointer: '/n', per: 'item' } };
    await bench.add([a], { limits: limitsOf(limit, 'mia', { n: Number.MAX_VALUE }) });
    expect(await bench.said(a)).toMatchObject({ refused: 'quota_exceeded', left: 5 });
    await bench.add([b], { limits: limitsOf(limit, 'mia', { n: 5 }) });
    expect(await bench.out()).toEqual([b]);
  });

  it('is not passed by the small errors of many starts: a clock in milliseconds has 12 bits left for what is smaller', async () => {
    const bench = await admissionBench(400, { ownClock: true });
    const limits = [rate(3_000, 1_000, 300)];
    await bench.add(keys('a', 300), { limits });
    expect(await bench.out()).toHaveLength(300);
    const tat = Number(await bench.redis.hget(`${bench.names.tag}:bucket:r:1`, 'tat'));
    expect(tat - bench.clock.now()).toBeGreaterThanOrEqual(100);
    expect(tat - bench.clock.now()).toBeLessThan(100.1);
  });
});
