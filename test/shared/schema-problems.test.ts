import { describe, expect, it } from 'vitest';
import { problemsOf } from '@callyard/shared/schema-problems';

const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });
const text = { type: 'string' };
const stop = object({ name: text }, { required: ['name'] });
const cash = object({ by: { const: 'cash' }, sum: { type: 'number' } }, { required: ['by', 'sum'] });
const card = object({ by: { const: 'card' }, number: text }, { required: ['by', 'number'] });
const schema = object(
  {
    at: { anyOf: [text, { type: 'array', items: text }, { const: 7 }] },
    how: { anyOf: [text, { $ref: '#/$defs/stop' }] },
    pay: { oneOf: [{ $ref: '#/$defs/cash' }, { $ref: '#/$defs/card' }] },
    one: { oneOf: [text, { minLength: 1 }] },
    grade: { anyOf: Array.from({ length: 20 }, (_, i) => ({ const: `grade-${i + 10}` })) },
    prices: { type: 'object', additionalProperties: { type: 'number' } },
    codes: { type: 'object', propertyNames: { pattern: '^x' } },
    whole: { allOf: [object({ a: text })], properties: { days: {} }, unevaluatedProperties: false },
    never: false,
  },
  { $defs: { stop, cash, card } },
);

describe('what is wrong with a value is said once, so that it can be mended:', () => {
  it.each([
    ['all that the branches of a union take', { at: true }, '/at', 'expected one of 7, string, array, got true'],
    ['the fault in the branch that was meant', { how: { name: 5 } }, '/how/name', 'must be string, got 5'],
    ['what that branch misses', { how: {} }, '/how', 'missing name'],
    ['the fault in the branch of its tag', { pay: { by: 'card', number: 5 } }, '/pay/number', 'must be string, got 5'],
    ['the tags, where no branch has it', { pay: { by: 'x' } }, '/pay/by', 'expected one of "cash", "card", got "x"'],
    ['a value of two branches', { one: 'x' }, '/one', 'must match exactly one schema in oneOf, got "x"'],
    ['a value of a map', { prices: { tea: 1, 'a/b': 'x' } }, '/prices/a~1b', 'must be number, got "x"'],
    ['a number beyond all', { prices: { tea: Infinity } }, '/prices/tea', 'must be number, got Infinity'],
    ['keys of a wrong form', { codes: { a: 1, xb: 2 } }, '/codes', 'keys that are not allowed: a'],
    ['a key that is left over', { whole: { a: '', dayz: 2 } }, '/whole', 'unknown dayz; did you mean days?'],
    ['what nobody may give', { never: 1 }, '/never', 'not allowed here'],
    ['a value of the wrong kind', [], '', 'must be object, got an array'],
  ])('%s', (_what, value, pointer, problem) => {
    expect(problemsOf(value, schema)).toEqual([{ pointer, problem }]);
  });

  it('the nearest of more constants than eight', () => {
    const [problem, ...more] = problemsOf({ grade: 'grade_29' }, schema);
    expect(problem).toEqual({
      pointer: '/grade',
      problem: expect.stringMatching(/; did you mean "grade-29"\?$/) as string,
    });
    expect(more).toEqual([]);
  });

  it('what two parts of a composed schema both say', () => {
    const twice = { allOf: [object({ a: text }), object({ a: text })] };
    expect(problemsOf({ a: 1 }, twice)).toEqual([{ pointer: '/a', problem: 'must be string, got 1' }]);
  });

  it('nothing, where nothing is wrong', () => {
    expect(problemsOf({ at: 7, how: 'x', pay: { by: 'cash', sum: 1 } }, schema)).toEqual([]);
  });
});
