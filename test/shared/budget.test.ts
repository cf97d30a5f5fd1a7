import { describe, expect, it } from 'vitest';
import { resolveBudget, type BudgetRule } from '@callyard/shared/budget';

const mia = { owner: 'acme', userId: 'mia', roles: ['free', 'beta'], permissions: [] };

describe('the budget of a principal', () => {
  it('is, bound by bound, the strictest of all that are about it', () => {
    const rules: BudgetRule[] = [
      { maxTurns: 8, maxTokens: 500 },
      { for: { role: 'free' }, maxTurns: 4, tokensPerDay: 900 },
      { for: { role: 'beta', owner: 'acme' }, maxTurns: 6, tokensPerDay: 700 },
      { for: { user: 'mia' }, maxRunMs: 9 },
    ];
    expect(resolveBudget(mia, rules)).toEqual({ maxTurns: 4, maxTokens: 500, tokensPerDay: 700, maxRunMs: 9 });
    expect(resolveBudget({ ...mia, roles: [], userId: 'ben' }, rules)).toEqual({ maxTurns: 8, maxTokens: 500 });
  });

  it.each([
    ['another role', { role: 'pro' }],
    ['another user', { user: 'ben' }],
    ['another owner', { owner: 'other' }],
    ['somebody of whom not all fits', { role: 'free', owner: 'other' }],
  ])('leaves out what is about %s', (_whom, whose) => {
    expect(resolveBudget(mia, [{ for: whose, maxCalls: 1 }])).toEqual({});
  });
});
