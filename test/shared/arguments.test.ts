import { describe, expect, it } from 'vitest';
import { parseArguments, validateArguments } from '@callyard/shared/arguments';
import type { CallError } from '@callyard/shared/failure';

const failureOf = (work: () => unknown): CallError => {
  try {
    work();
  } catch (error) {
    return error as CallError;
  }
  throw new Error('nothing was refused');
};
const parse = (text: string) => parseArguments(text, { maxBytes: 1_000_000 });
const tool = {
  name: 'trip',
  parameters: {
    type: 'object',
    properties: {
      city: { type: 'string', minLength: 2 },
      unit: { enum: ['celsius', 'fahrenheit'] },
      days: { type: 'integer', minimum: 1 },
      note: { type: ['string', 'null'] },
      stops: { type: 'array', items: { $ref: '#/$defs/stop' } },
      how: { anyOf: [{ $ref: '#/$defs/stop' }, { type: 'null' }] },
    },
    required: ['city'],
    additionalProperties: false,
    $defs: {
      stop: { type: 'object', properties: { name: { type: 'string' }, hours: { type: 'number' } }, required: ['name'] },
    },
  },
};
const validate = (args: unknown) => validateArguments(tool, args);

describe('parsing the text a model wrote', () => {
  it('takes nothing for no arguments', () => {
    expect([parse(''), parse(' \n')]).toEqual([{}, {}]);
  });

  it.each([
    ['cut JSON', '{"city": "Os', 'not valid JSON'],
    ['text', 'Oslo', 'not valid JSON'],
    ['10,000 brackets', '['.repeat(10_000), 'nested deeper than 100'],
    ['5 MB', `{"a":"${'x'.repeat(5_000_000)}"}`, 'at most 1000000'],
  ])('refuses %s as malformed', (_what, text, said) => {
    const error = failureOf(() => parse(text));
    expect(error.code).toBe('malformed_arguments');
    expect(error.message).toContain(said);
    expect(error.message.length).toBeLessThan(400);
  });

  it('does not count brackets inside of texts', () => {
    const text = JSON.stringify({ a: '['.repeat(500), b: 'a "quoted" \\ [' });
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each(['{"__proto__": {"admin": true}}', '{"a": [{"\\u005f_proto__": 1}]}'])('refuses the poison %s', (text) => {
    expect(failureOf(() => parse(text)).code).toBe('invalid_arguments');
  });
});

describe('validating arguments', () => {
  it('hands back what is valid as it is', () => {
    const args = { city: 'Oslo', unit: 'celsius', stops: [{ name: 'a' }] };
    expect(validate(args)).toBe(args);
  });

  it.each([
    ['a missing argument', {}, '', 'missing city'],
    ['an unknown one', { city: 'Oslo', dayz: 1 }, '', 'unknown dayz; did you mean days?'],
    ['a value beside the enum', { city: 'Oslo', unit: 'celcius' }, '/unit', 'did you mean "celsius"?'],
    ['a wrong type', { city: 'Oslo', days: 'three' }, '/days', 'must be integer, got "three"'],
    ['a text that is too short', { city: 'O' }, '/city', 'got "O"'],
    ['a fault deep inside', { city: 'Oslo', stops: [{ name: 'a' }, { hours: 1 }] }, '/stops/1', 'missing name'],
    ['no object at all', [1], '', 'must be object, got an array'],
  ])('says how to mend %s', (_what, args, pointer, problem) => {
    const { code, details, message, suggestion } = failureOf(() => validate(args));
    expect(code).toBe('invalid_arguments');
    expect((details as { problems: unknown[] }).problems).toContainEqual({
      pointer,
      problem: expect.stringContaining(problem) as string,
    });
    expect(message).toContain(problem);
    expect(suggestion).toBeDefined();
  });

  it('lists five problems at most', () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`p${i}`, { type: 'integer' }]));
    const wrong = Object.fromEntries(Object.keys(many).map((name) => [name, 'x']));
    const { details } = failureOf(() =>
      validateArguments({ name: 't', parameters: { type: 'object', properties: many } }, wrong),
    );
    expect((details as { problems: unknown[] }).problems).toHaveLength(5);
  });

  it('takes null for an optional that is absent, also inside of arrays, references and unions', () => {
    const args = {
      city: 'Oslo',
      unit: null,
      days: null,
      note: null,
      stops: [{ name: 'a', hours: null }],
      how: { name: 'b', hours: null },
    };
    expect(validate(args)).toEqual({ city: 'Oslo', note: null, stops: [{ name: 'a' }], how: { name: 'b' } });
  });

  it('refuses null where a value is required', () => {
    expect(failureOf(() => validate({ city: null })).message).toContain('/city');
  });

  it('survives recursion that no stack holds', () => {
    const recursive = {
      name: 't',
      parameters: { type: 'object', properties: { next: { $ref: '#' }, n: { type: 'integer' } } },
    };
    let deep: object = { n: 'wrong' };
    for (let i = 0; i < 50_000; i++) deep = { next: deep };
    expect(failureOf(() => validateArguments(recursive, deep)).code).toBe('invalid_arguments');
  });
});
