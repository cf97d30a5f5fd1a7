import Type from 'typebox';
import { describe, expect, it } from 'vitest';
import { parseArguments, validateArguments } from '@callyard/shared/arguments';
import type { CallError } from '@callyard/shared/failure';
import type { JsonSchema } from '@callyard/shared/schema';
import { needsRecordedCalls, noRecordedCalls, recordedCases } from '../support/recorded.ts';

const failureOf = (work: () => unknown): CallError => {
  try {
    work();
  } catch (error) {
    return error as CallError;
  }
  throw new Error('nothing was refused');
};
const problemsOf = ({ details }: CallError) =>
  (details as { problems: { pointer: string; problem: string }[] }).problems;
const parse = (text: string) => parseArguments(text, { maxBytes: 1_000_000 });

describe('parsing the text a model wrote', () => {
  it('takes nothing for no arguments', () => {
    expect([parse(''), parse(' \n')]).toEqual([{}, {}]);
  });

  it.each([
    ['JSON that is cut off', '{"city": "Os', 'position 12'],
    ['a comma that is missing', '{"city": "Oslo" "days": 3}', 'position 16'],
    ['prose', 'Oslo', '"Oslo" is not valid JSON'],
    ['10,000 brackets', '['.repeat(10_000), 'nested deeper than 100'],
    ['10,000 objects', '{"a":'.repeat(10_000), 'nested deeper than 100'],
    ['5 MB', `{"a":"${'x'.repeat(5_000_000)}"}`, 'have 5000008 bytes; at most 1000000'],
    ['more bytes than characters', `"${'é'.repeat(500_000)}"`, 'have 1000002 bytes'],
  ])('refuses %s as malformed and says where or why', (_what, text, said) => {
    const error = failureOf(() => parse(text));
    expect(error.code).toBe('malformed_arguments');
    expect(error.message).toContain(said);
    expect(error.message.length).toBeLessThan(400);
  });

  it('does not count brackets inside of texts', () => {
    const text = JSON.stringify({ a: '['.repeat(500), b: 'a "quoted" \\ [' });
    expect(parse(text)).toEqual(JSON.parse(text));
  });

  it.each(['{"__proto__": {"admin": true}}', '{"a": [{"\\u005f_proto__": 1}]}', '{"__pr\\u006fto__": 1}'])(
    'refuses the poison %s',
    (text) => {
      expect(failureOf(() => parse(text)).code).toBe('invalid_arguments');
    },
  );

  it('says where the poison is', () => {
    const error = failureOf(() => parse('{"a/b": [{"constructor": {"prototype": {}}}]}'));
    expect(problemsOf(error)).toEqual([{ pointer: '/a~1b/0/constructor/prototype', problem: 'not allowed as a key' }]);
  });

  it('takes the name of the poison as a value, and constructor as a key', () => {
    expect(parse('{"a": "__proto__ \\u00e9"}')).toEqual({ a: '__proto__ é' });
    const car = { constructor: 'Ferrari', prototype: { constructor: 1 } };
    expect(parse(JSON.stringify(car))).toEqual(car);
  });
});

const trip = {
  name: 'trip',
  parameters: {
    type: 'object',
    properties: {
      city: { type: 'string', minLength: 2 },
      zip: { type: 'string', pattern: '^[0-9]{4}$' },
      unit: { enum: ['celsius', 'fahrenheit'] },
      level: { enum: [1, 2, 3] },
      mode: { anyOf: ['walk', 'bicycle', 'train'].map((mode) => ({ type: 'string', const: mode })) },
      days: { type: 'integer', minimum: 1 },
      note: { type: ['string', 'null'] },
      never: false,
      stops: { type: 'array', items: { $ref: '#/$defs/stop' } },
      how: { anyOf: [{ $ref: '#/$defs/stop' }, { type: 'null' }] },
      pay: { oneOf: [{ $ref: '#/$defs/cash' }, { $ref: '#/$defs/card' }] },
      legs: { anyOf: [{ type: 'string' }, { type: 'array', items: { $ref: '#/$defs/stop' } }] },
    },
    required: ['city'],
    additionalProperties: false,
    $defs: {
      cash: {
        type: 'object',
        properties: { by: { const: 'cash' }, number: { type: ['string', 'null'] } },
        required: ['by', 'number'],
      },
      card: { type: 'object', properties: { by: { const: 'card' }, number: { type: 'string' } }, required: ['by'] },
      stop: {
        type: 'object',
        properties: { name: { type: 'string' }, hours: { type: 'number' } },
        required: ['name'],
        additionalProperties: false,
      },
    },
  },
};
const validate = (args: unknown) => validateArguments(trip, args);
const oslo = (more: object) => ({ city: 'Oslo', ...more });

describe('validating arguments', () => {
  it('hands back what is valid as it is', () => {
    const args = oslo({ unit: 'celsius', note: null, stops: [{ name: 'a' }] });
    expect(validate(args)).toBe(args);
  });

  it.each([
    ['a missing argument', {}, '', 'missing city'],
    ['an unknown one', oslo({ dayz: 1 }), '', 'unknown dayz; did you mean days?'],
    ['an unknown one that is like none', oslo({ colour: 1 }), '', 'unknown colour'],
    [
      'an unknown one inside',
      oslo({ stops: [{ name: 'a', hour: 1 }] }),
      '/stops/0',
      'unknown hour; did you mean hours?',
    ],
    ['an unknown one with a slash', oslo({ 'a/b': 1 }), '', 'unknown a/b'],
    [
      'a value beside the enum',
      oslo({ unit: 'celcius' }),
      '/unit',
      'expected one of "celsius", "fahrenheit", got "celcius"; did you mean "celsius"?',
    ],
    [
      'a text for a number of the enum',
      oslo({ level: '12' }),
      '/level',
      'expected one of 1, 2, 3, got "12"; did you mean 1?',
    ],
    [
      'a value beside a union of constants',
      oslo({ mode: 'trian' }),
      '/mode',
      'expected one of "walk", "bicycle", "train", got "trian"; did you mean "train"?',
    ],
    ['a wrong type', oslo({ days: 'three' }), '/days', 'must be integer, got "three"'],
    ['a text that does not match', oslo({ zip: 'x' }), '/zip', 'must match pattern "^[0-9]{4}$", got "x"'],
    ['a text that is too short', { city: 'O' }, '/city', 'must not have fewer than 2 characters, got "O"'],
    ['a fault deep inside', oslo({ stops: [{ name: 'a' }, { hours: 1 }] }), '/stops/1', 'missing name'],
    ['an argument that nobody may give', oslo({ never: 1 }), '/never', 'not allowed here'],
    ['null for what is required', { city: null }, '/city', 'must be string, got null'],
    [
      'null inside for what is required',
      oslo({ stops: [{ name: null }] }),
      '/stops/0/name',
      'must be string, got null',
    ],
    ['no object at all', [1], '', 'must be object, got an array'],
  ])('says how to mend %s', (_what, args, pointer, problem) => {
    const error = failureOf(() => validate(args));
    expect(error.code).toBe('invalid_arguments');
    expect(problemsOf(error)).toEqual([{ pointer, problem }]);
    expect(error.message).toContain(`${pointer || '/'}: ${problem}`);
    expect(error.suggestion).toBe('Send the call again with these mended.');
  });

  it('lists five problems at most', () => {
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`p${i}`, { type: 'integer' }]));
    const wrong = Object.fromEntries(Object.keys(many).map((name) => [name, 'x']));
    const tool = { name: 't', parameters: { type: 'object', properties: many } };
    expect(problemsOf(failureOf(() => validateArguments(tool, wrong)))).toHaveLength(5);
  });

  it('names five of a hundred unknown arguments', () => {
    const wrong = oslo(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`p${i}`, 1])));
    const expected = [0, 1, 2, 3, 4].map((i) => ({ pointer: '', problem: `unknown p${i}` }));
    expect(problemsOf(failureOf(() => validate(wrong)))).toEqual(expected);
  });

  it('names every constant of a long union', () => {
    const letters = Array.from('abcdefghijkl');
    const parameters = Type.Object({ letter: Type.Union(letters.map((letter) => Type.Literal(letter))) });
    const error = failureOf(() =>
      validateArguments({ name: 't', parameters: parameters as unknown as JsonSchema }, { letter: '?' }),
    );
    expect(problemsOf(error)).toHaveLength(1);
    expect(error.message).toContain('"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"');
  });

  it('answers briefly, however long the keys and values are', () => {
    const long = 'x'.repeat(500_000);
    const { message } = failureOf(() =>
      validate({ city: long, unit: long, days: long, [long]: long, stops: [{ [long]: 1 }] }),
    );
    expect(message.length).toBeLessThan(2_500);
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

describe('null for an absent optional', () => {
  it.each([
    ['at the top', { unit: null, days: null, mode: null }, {}],
    [
      'inside of a list',
      { stops: [{ name: 'a', hours: null }, { name: 'b' }] },
      { stops: [{ name: 'a' }, { name: 'b' }] },
    ],
    ['behind a reference in a union', { how: { name: 'b', hours: null } }, { how: { name: 'b' } }],
    ['in the branch of its tag', { pay: { by: 'card', number: null } }, { pay: { by: 'card' } }],
    ['in a list in a union', { legs: [{ name: 'a', hours: null }] }, { legs: [{ name: 'a' }] }],
  ])('is taken %s', (_where, more, expected) => {
    expect(validate(oslo(more))).toEqual(oslo(expected));
  });

  it('stays where the schema takes null', () => {
    expect(validate(oslo({ note: null, how: null, unit: null }))).toEqual(oslo({ note: null, how: null }));
  });

  it('stays what it is in the arguments that were given', () => {
    const args = oslo({ unit: null, stops: [{ name: 'a', hours: null }] });
    validate(args);
    expect(args).toEqual(oslo({ unit: null, stops: [{ name: 'a', hours: null }] }));
  });

  it('is not taken for an argument that the tool does not have', () => {
    expect(failureOf(() => validate(oslo({ dayz: null }))).message).toContain('unknown dayz');
  });

  it('goes through references with escapes, and anchors', () => {
    const inner = { type: 'object', properties: { x: { type: 'integer' } } };
    const parameters = {
      type: 'object',
      properties: { a: { $ref: '#/$defs/a%20b~1c' }, b: { $ref: '#here' } },
      $defs: { 'a b/c': inner, other: { $anchor: 'here', ...inner } },
    };
    expect(validateArguments({ name: 't', parameters }, { a: { x: null }, b: { x: null } })).toEqual({ a: {}, b: {} });
  });

  it.skipIf(noRecordedCalls)(
    `written into every recorded call means the call without it (${needsRecordedCalls})`,
    () => {
      const faults: unknown[] = [];
      let filled = 0;
      for (const { tools, tool_calls: calls } of recordedCases()) {
        for (const { name, arguments: args } of calls) {
          const tool = tools.find((one) => one.function.name === name)?.function ?? { name, parameters: {} };
          const withNulls = fillNulls(args, tool.parameters);
          if (JSON.stringify(withNulls) !== JSON.stringify(args)) filled += 1;
          try {
            expect(validateArguments(tool, withNulls)).toEqual(args);
          } catch (error) {
            faults.push((error as CallError).code);
          }
        }
      }
      // Two recorded calls are faults of the data set.
      expect(faults).toEqual(['invalid_arguments', 'invalid_arguments']);
      expect(filled).toBeGreaterThan(200);
    },
  );
});

/** What a provider's strict mode makes of arguments: null for every optional that is absent, at every depth. */
function fillNulls(value: unknown, schema: JsonSchema): unknown {
  if (Array.isArray(value)) return value.map((item) => fillNulls(item, (schema.items ?? {}) as JsonSchema));
  if (typeof value !== 'object' || value === null) return value;
  const { properties = {}, required = [] } = schema as { properties?: Record<string, JsonSchema>; required?: string[] };
  const absent = Object.keys(properties).filter((name) => !required.includes(name) && !(name in value));
  const given = Object.entries(value).map(([key, item]) => [key, fillNulls(item, properties[key] ?? {})]);
  return Object.fromEntries([...given, ...absent.map((name) => [name, null])]) as unknown;
}
