import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { LimitRulesError, loadLimitRules, readLimitRules } from '@callyard/shared/admission/limit-rules';
import { folderWith } from '../../support/temporary-folder.ts';

const rule = { per: ['user'], concurrency: 2, for: { role: 'free', owner: 'acme', user: 'mia', tool: 'weather' } };

const budget = { for: { role: 'free', owner: 'acme', user: 'mia' }, maxTurns: 4, maxRunMs: 60_000, tokensPerDay: 200 };

const fileWith = async (text: string) => join(await folderWith({ 'limits.json': text }), 'limits.json');

describe('rules of limits', () => {
  it('are taken as they are written, every part optional', () => {
    expect(readLimitRules({})).toEqual({ limits: [], budgets: [], weights: {} });
    const rules = { limits: [rule], budgets: [budget], weights: { pro: 4, free: 0.5 } };
    expect(readLimitRules(rules)).toEqual(rules);
  });

  it.each([
    ['a list', [rule], '/: must be object'],
    ['a part misspelt', { limit: [] }, 'unknown limit; did you mean limits?'],
    ['a rule misspelt', { limits: [{ ...rule, quotta: {} }] }, '/limits/0: unknown quotta; did you mean quota?'],
    [
      'whose it is misspelt',
      { limits: [{ ...rule, for: { rol: 'x' } }] },
      '/limits/0/for: unknown rol; did you mean role?',
    ],
    ['a weight of 0', { weights: { free: 0 } }, '/weights/free: must be > 0, got 0'],
    ['a budget misspelt', { budgets: [{ maxTurn: 1 }] }, '/budgets/0: unknown maxTurn; did you mean maxTurns?'],
    ['a budget of 0', { budgets: [{ tokensPerDay: 0 }] }, '/budgets/0/tokensPerDay: must be >= 1, got 0'],
    ['a budget of a tool', { budgets: [{ for: { tool: 'x' }, maxCalls: 1 }] }, '/budgets/0/for: unknown tool'],
    ['a budget that bounds nothing', { budgets: [{ for: { user: 'x' } }] }, '/budgets/0: it bounds nothing'],
    ['a rule that limits nothing', { limits: [{ per: [] }] }, '/limits/0: it limits nothing'],
  ])('with %s are refused, and the place is named', (_what, rules, message) => {
    expect(() => readLimitRules(rules)).toThrow(LimitRulesError);
    expect(() => readLimitRules(rules)).toThrow(message);
  });

  it('name every wrong place at once', () => {
    const wrong = {
      limits: [
        { per: ['team'], concurrency: 0 },
        { per: [], rate: { limit: 1 } },
      ],
    };
    expect(() => readLimitRules(wrong)).toThrow(/limits\/0\/per\/0.*limits\/0\/concurrency.*limits\/1\/rate/su);
  });

  it('come from a file, which is named when it cannot be used', async () => {
    expect(loadLimitRules(await fileWith(JSON.stringify({ limits: [rule] }))).limits).toEqual([rule]);
    const torn = await fileWith('{"limits": [');
    expect(() => loadLimitRules(torn)).toThrow(`the limits in ${torn} cannot be used`);
    expect(() => loadLimitRules('/nowhere/limits.json')).toThrow(
      'the limits in /nowhere/limits.json cannot be used: ENOENT',
    );
  });
});
