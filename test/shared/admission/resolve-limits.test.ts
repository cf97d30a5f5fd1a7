import { describe, expect, it } from 'vitest';
import type { Limit } from '@callyard/shared/admission/limit';
import type { LimitRule } from '@callyard/shared/admission/limit-rules';
import { neverFits, resolveLimits, weightOf } from '@callyard/shared/admission/resolve-limits';

const mia = { owner: 'acme', userId: 'mia', roles: ['free'], permissions: [] };
const call = { tool: 'weather', principal: mia, args: { items: ['a', 'b', 'c'], count: 2.2, name: 'x' } };
const resolve = (limit: Limit | LimitRule, more: Partial<typeof call> = {}) =>
  resolveLimits([limit], { ...call, ...more });
const bucket = (limit: Limit, more: Partial<typeof call> = {}) => resolve(limit, more)[0]?.bucket;

describe('the limits of a call', () => {
  it('are one for each kind, each with a bucket of its own', () => {
    const limits = resolve({
      per: ['user'],
      rate: { limit: 5, periodMs: 10 },
      concurrency: 2,
      quota: { limit: 9, windowMs: 99 },
    });
    expect(limits).toMatchObject([
      { per: ['user'], cost: 1, rate: { limit: 5, periodMs: 10, burst: 5 } },
      { concurrency: 2 },
      { quota: { limit: 9, windowMs: 99 } },
    ]);
    expect(limits.map((limit) => limit.bucket.slice(0, 2))).toEqual(['r:', 'c:', 'q:']);
    expect(resolve({ per: [], concurrency: 1, onLimit: 'refuse' })).toMatchObject([{ refuse: true }]);
  });

  const others = {
    user: { principal: { ...mia, userId: 'ben' } },
    owner: { principal: { ...mia, owner: 'other' } },
    tool: { tool: 'maps' },
  };

  it.each([
    [['user'], ['user', 'owner']],
    [['owner'], ['owner']],
    [['tool'], ['tool']],
    [
      ['user', 'tool'],
      ['user', 'owner', 'tool'],
    ],
    [[], []],
  ] as const)('per %j are counted apart for another %j', (per, apart) => {
    const limit: Limit = { per: [...per], concurrency: 3 };
    const differing = Object.entries(others).filter(([, other]) => bucket(limit, other) !== bucket(limit));
    expect(differing.map(([what]) => what)).toEqual(apart);
  });

  it('share a bucket where two tools declare the same, and no other', () => {
    const ten: Limit = { per: ['user'], rate: { limit: 10, periodMs: 1_000 } };
    expect(bucket(structuredClone(ten), others.tool)).toBe(bucket(ten));
    expect(bucket({ per: ['user'], rate: { limit: 10, periodMs: 1_000, burst: 10 } })).toBe(bucket(ten));
    expect(bucket({ per: ['user'], rate: { limit: 5, periodMs: 1_000 } })).not.toBe(bucket(ten));
    expect(resolveLimits([ten, { ...ten, cost: 3 }], call)).toMatchObject([{ cost: 3 }]);
  });

  it('are told apart by users whose ids only look alike', () => {
    const limit: Limit = { per: ['user'], concurrency: 3 };
    const of = (owner: string, userId: string) => bucket(limit, { principal: { ...mia, owner, userId } });
    const buckets = [of('a', 'b:c'), of('a:b', 'c'), of('a","b', 'c'), of('{}:*', 'x'), of('x', '{}:*')];
    expect(new Set(buckets).size).toBe(buckets.length);
    for (const one of buckets) expect(one).toMatch(/^c:[0-9a-f]{16}$/);
  });

  it.each<[LimitRule['for'], boolean]>([
    [undefined, true],
    [{}, true],
    [{ role: 'free' }, true],
    [{ role: 'pro' }, false],
    [{ owner: 'acme', user: 'mia' }, true],
    [{ user: 'ben' }, false],
    [{ owner: 'other', user: 'mia' }, false],
    [{ tool: 'weather', role: 'free' }, true],
    [{ tool: 'maps', role: 'free' }, false],
  ])('for %j: %s', (whose, applies) => {
    expect(resolve({ per: [], concurrency: 1, ...(whose && { for: whose }) })).toHaveLength(applies ? 1 : 0);
  });

  it.each([
    ['/items', call.args, 3],
    ['/count', call.args, 3],
    ['/name', call.args, 1],
    ['/nothing', call.args, 1],
    ['/items', { items: [] }, 1],
    ['/count', { count: -7 }, 1],
    ['/count', { count: Number.POSITIVE_INFINITY }, 1],
    ['/items', { items: Array.from({ length: 1_000_000 }, () => 0) }, 1_000_000],
    ['/__proto__/length', call.args, 1],
  ])('cost by %s of what is there', (pointer, args, cost) => {
    const limit: Limit = { per: [], rate: { limit: 5, periodMs: 10 }, cost: { pointer, per: 'item' } };
    expect(resolve(limit, { args: args as never })).toMatchObject([{ cost }]);
  });

  it('never fit when the call costs more than the bucket ever holds', () => {
    const burst = (cost: number) => resolve({ per: [], rate: { limit: 5, periodMs: 10, burst: 3 }, cost });
    expect(neverFits(burst(3))).toBeUndefined();
    expect(neverFits(burst(4))).toMatchObject({ cost: 4 });
    expect(neverFits(resolve({ per: [], quota: { limit: 5, windowMs: 10 }, cost: 6 }))).toMatchObject({ cost: 6 });
  });
});

describe('the weight of a principal', () => {
  it.each([
    [[], 1],
    [['unknown'], 1],
    [['free'], 0.5],
    [['free', 'pro'], 4],
    [['toString'], 1],
  ])('with the roles %j is %d', (roles, weight) => {
    expect(weightOf({ ...mia, roles }, { free: 0.5, pro: 4 })).toBe(weight);
  });
});
