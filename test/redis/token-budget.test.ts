import { describe, expect, it } from 'vitest';
import { createTokenBudget, tokensSpentKey, tokensSpentTtlMs } from '@callyard/shared/token-budget';
import { setup } from '../support/setup.ts';

const mia = { owner: 'acme', userId: 'mia' };
const lastSecond = Date.UTC(2026, 10, 21, 23, 59, 59);

async function budgetAt(now: number) {
  const { redis, names } = await setup();
  const clock = { now: () => now };
  return { redis, names, tokens: createTokenBudget(redis, names, clock), advance: (ms: number) => void (now += ms) };
}

describe('the tokens of a day', () => {
  it('are counted for each user of each owner', async () => {
    const { tokens } = await budgetAt(lastSecond);
    expect(await tokens.used(mia)).toBe(0);
    expect(await tokens.spend(mia, 30)).toBe(30);
    expect(await tokens.spend(mia, 12)).toBe(42);
    expect(await tokens.used(mia)).toBe(42);
    const others = [
      { owner: 'acme', userId: 'ben' },
      { owner: 'other', userId: 'mia' },
      { owner: 'acme:mia', userId: '' },
    ];
    expect(await Promise.all(others.map((user) => tokens.used(user)))).toEqual([0, 0, 0]);
  });

  it('lose nothing when many are spent at once', async () => {
    const { tokens } = await budgetAt(lastSecond);
    await Promise.all(Array.from({ length: 200 }, (_, i) => tokens.spend(mia, i)));
    expect(await tokens.used(mia)).toBe(19_900);
  });

  it('begin anew at midnight, UTC', async () => {
    const { tokens, advance } = await budgetAt(lastSecond);
    await tokens.spend(mia, 30);
    advance(999);
    expect(await tokens.used(mia)).toBe(30);
    advance(1);
    expect(await tokens.used(mia)).toBe(0);
  });

  it('are forgotten two days after they were spent', async () => {
    const { redis, names, tokens } = await budgetAt(lastSecond);
    const key = tokensSpentKey(names, mia, lastSecond);
    expect(key).toContain(':2026-11-21:');
    await tokens.spend(mia, 30);
    const ttl = await redis.pttl(key);
    expect(ttl).toBeGreaterThan(tokensSpentTtlMs - 60_000);
    expect(ttl).toBeLessThanOrEqual(tokensSpentTtlMs);
  });
});
