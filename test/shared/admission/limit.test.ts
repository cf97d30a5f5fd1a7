import { describe, expect, it } from 'vitest';
import { defineTool, Type } from '@callyard/worker';

const parameters = Type.Object({
  items: Type.Array(Type.String()),
  name: Type.String(),
  count: Type.Integer(),
  either: Type.Union([Type.String(), Type.Array(Type.String())]),
  deep: Type.Object({ list: Type.Array(Type.Object({ size: Type.Number() })) }),
});

const define = (limit: object, schema: object = parameters) =>
  defineTool({
    name: 'tool',
    version: '1.0.0',
    description: 'Limited',
    parameters: schema as typeof parameters,
    policy: { limits: [limit as never] },
    handler: () => 1,
  });

const rate = (limit: unknown, periodMs: unknown, more: object = {}) => ({
  per: [],
  rate: { limit, periodMs },
  ...more,
});
const cost = (pointer: string) => rate(10, 1_000, { cost: { pointer, per: 'item' } });

describe('a limit', () => {
  it.each([
    ['a rate', rate(10, 1_000)],
    ['one a month', rate(1, 31 * 24 * 3_600_000)],
    ['a thousand in a millisecond', rate(1_000, 1)],
    ['a rate with a burst', { per: ['user'], rate: { limit: 10, periodMs: 1_000, burst: 2 } }],
    [
      'everything at once',
      { ...rate(10, 1_000), concurrency: 3, quota: { limit: 100, windowMs: 60_000 }, onLimit: 'refuse' },
    ],
    ['a cost by the items of an array', cost('/items')],
    ['a cost by a number', cost('/count')],
    ['a cost by what may be an array', cost('/either')],
    ['a cost by something deep', cost('/deep/list/0/size')],
  ])('may be %s', (_what, limit) => {
    expect(define(limit).manifest.policy.limits).toEqual([limit]);
  });

  it.each([
    ['of 0', rate(0, 1_000), 'policy/limits/0/rate/limit: must be >= 1, got 0'],
    ['that is negative', rate(-5, 1_000), 'policy/limits/0/rate/limit: must be >= 1, got -5'],
    ['that is a fraction', rate(2.5, 1_000), 'policy/limits/0/rate/limit: must be integer, got 2.5'],
    ['of 1e12', rate(1e12, 1_000), 'policy/limits/0/rate/limit: must be <= 1000000000, got 1000000000000'],
    ['of more than a clock can tell apart', rate(10_000, 1), 'more than 1000 per millisecond cannot be metered'],
    ['with a period of 0', rate(1, 0), 'policy/limits/0/rate/periodMs: must be >= 1, got 0'],
    ['with a period of years', rate(1, 1e12), 'policy/limits/0/rate/periodMs: must be <= 2678400000'],
    [
      'per something unknown',
      { per: ['team'], concurrency: 1 },
      `policy/limits/0/per/0: expected one of "user", "owner", "tool", got "team"`,
    ],
    ['without a bucket', { concurrency: 1 }, 'policy/limits/0: missing per'],
    ['of nothing', { per: ['user'] }, 'policy/limits/0: it limits nothing; give rate, concurrency or quota'],
    ['with a word misspelt', { per: [], concurency: 1 }, 'unknown concurency; did you mean concurrency?'],
    ['for a role', { per: [], concurrency: 1, for: { role: 'free' } }, 'policy/limits/0: unknown for'],
    [
      'that costs more than its burst',
      rate(5, 1_000, { cost: 6 }),
      'policy/limits/0: cost: 6 never fits into a burst of 5',
    ],
    [
      'that costs more than its quota',
      { per: [], quota: { limit: 5, windowMs: 1 }, cost: 6 },
      'cost: 6 never fits into a quota of 5',
    ],
    ['that costs nothing', rate(5, 1_000, { cost: 0 }), 'policy/limits/0/cost'],
    ['that costs by no pointer', cost('items'), 'policy/limits/0/cost/pointer: must match'],
    [
      'that costs by nothing',
      cost('/itmes'),
      'policy/limits/0/cost/pointer: /itmes leads to no argument; did you mean items?',
    ],
    ['that costs by nothing within', cost('/deep/lost/0'), '/deep/lost/0 leads to no argument; did you mean list?'],
    [
      'that costs by a text',
      cost('/name'),
      'policy/limits/0/cost/pointer: /name is of type string; an array or a number can be counted',
    ],
    ['that costs by the whole', cost(''), ' is of type object; an array or a number can be counted'],
  ])('%s is refused where it is written', (_what, limit, message) => {
    expect(() => define(limit)).toThrow(message);
  });

  it('may cost by what a schema leaves open', () => {
    const open = (schema: object) => define(cost('/items/0'), { type: 'object', ...schema }).manifest.policy.limits;
    expect(open({ additionalProperties: { type: 'array' } })).toHaveLength(1);
    expect(open({ anyOf: [{ properties: { items: { type: 'array' } } }, true] })).toHaveLength(1);
    expect(open({ properties: { items: true } })).toHaveLength(1);
    expect(
      open({
        properties: { items: { $ref: '#/$defs/list' } },
        $defs: { list: { type: 'array', items: { type: 'number' } } },
      }),
    ).toHaveLength(1);
  });
});
