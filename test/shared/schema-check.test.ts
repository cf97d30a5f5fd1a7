import { describe, expect, it } from 'vitest';
import { checkSchema } from '@callyard/shared/schema-check';
import { needsRecordedCalls, noRecordedCalls, recordedCases } from '../support/recorded.ts';

const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });
const text = (pattern: string) => ({ type: 'string', pattern });
const nested = (levels: number): object => (levels === 0 ? {} : { not: nested(levels - 1) });
const proto = (json: string) => JSON.parse(json) as object;

describe('checking a schema at registration', () => {
  it.each([
    ['a type nobody knows', object({ city: { type: 'strin' } }), 'properties/city/type', 'did you mean "string"?'],
    [
      'a type nobody knows among several',
      object({ a: { type: ['null', 'strin'] } }),
      'properties/a/type/1',
      '"strin" is',
    ],
    ['a $ref that leads nowhere', object({ a: { $ref: '#/$defs/nope' } }), 'properties/a/$ref', 'leads nowhere'],
    [
      'a $ref to another document',
      object({ a: { $ref: 'https://e.com/x.json' } }),
      'properties/a/$ref',
      'leads nowhere',
    ],
    ['a $ref that is no URI', object({ a: { $ref: '#/%zz' } }), 'properties/a/$ref', 'leads nowhere'],
    ['a $ref to an inherited member', object({ a: { $ref: '#/constructor' } }), 'properties/a/$ref', 'leads nowhere'],
    [
      'a name instead of an anchor',
      object({ a: { $ref: 'x' } }, { $defs: { A: { $anchor: 'x' } } }),
      'properties/a/$ref',
      'no',
    ],
    ['a $ref to a text', object({ a: { $ref: '#/$comment' } }, { $comment: 'x' }), 'properties/a/$ref', 'no schema'],
    ['a $ref to itself', object({ a: { $ref: '#/properties/a' } }), 'properties/a/$ref', 'leads back to itself'],
    ['nested quantifiers', object({ a: text('^(a+)+$') }), 'properties/a/pattern', 'nests quantifiers'],
    ['an invalid pattern', object({ a: text('(') }), 'properties/a/pattern', 'Invalid regular expression'],
    [
      'nested quantifiers in keys',
      object({}, { patternProperties: { '(x*)*y': {} } }),
      'patternProperties/(x*)*y',
      'quantifiers',
    ],
    [
      'an invalid key pattern',
      object({}, { patternProperties: { '[': {} } }),
      'patternProperties/[',
      'Invalid regular',
    ],
    ['arguments that are a list', { type: 'array' }, 'type', 'must be "object"'],
    ['no schema at all', null, 'type', 'must be "object"'],
    ['a negative length', object({ a: { minLength: -1 } }), 'properties/a/minLength', '-1'],
    ['a required that is no list', object({ a: {} }, { required: 'a' }), 'required', 'must be array'],
    ['a dialect nobody knows', object({}, { $schema: 'https://e.com/dialect' }), '$schema', 'not known'],
    ['nesting that no stack holds', object({ a: nested(5_000) }), '', 'deeper than 64'],
    ['more than 256 KiB', object({ a: { description: 'x'.repeat(300_000) } }), '', 'at most 262144'],
    [
      'a property that every object has',
      object({ toString: { type: 'string' } }),
      'properties/toString',
      'every object has',
    ],
    [
      'a property that poisons',
      proto('{"type":"object","properties":{"__proto__":{}}}'),
      'properties/__proto__',
      'nothing may have',
    ],
  ])('refuses %s and names the place', (_what, schema, pointer, problem) => {
    expect(checkSchema(schema)).toEqual([{ pointer, problem: expect.stringContaining(problem) as string }]);
  });

  it('refuses references that go round in a circle, wherever it is entered', () => {
    const a = { anyOf: [{ type: 'string' }, { $ref: '#/$defs/b' }] };
    const problems = checkSchema(object({ x: { $ref: '#/$defs/a' } }, { $defs: { a, b: { $ref: '#/$defs/a' } } }));
    expect(problems.map(({ pointer }) => pointer)).toEqual([
      'properties/x/$ref',
      '$defs/a/anyOf/1/$ref',
      '$defs/b/$ref',
    ]);
  });

  const named = { pattern: { type: 'string' }, $ref: { type: 'string' }, type: { type: 'string' }, properties: {} };
  it.each([
    ['properties that are called like keywords', object(named)],
    [
      'such properties in definitions and items',
      object({ a: { items: object(named) } }, { $defs: { D: object(named) } }),
    ],
    ['definitions that are called like keywords', object({ a: { $ref: '#/$defs/pattern' } }, { $defs: named })],
    [
      'data that looks like a schema',
      object({ a: { default: { $ref: '#/x', pattern: '(' }, enum: [{ pattern: '(' }] } }),
    ],
    ['a recursive schema', object({ child: { $ref: '#' }, list: { type: 'array', items: { $ref: '#' } } })],
    ['a recursion behind a union', object({ a: { anyOf: [{ type: 'null' }, { $ref: '#' }] } })],
    ['definitions', object({ a: { $ref: '#/$defs/A' } }, { $defs: { A: { type: 'string' } } })],
    ['a definition whose name needs escapes', object({ a: { $ref: '#/$defs/a%20b~1c' } }, { $defs: { 'a b/c': {} } })],
    ['an anchor', object({ a: { $ref: '#here' } }, { $defs: { A: { $anchor: 'here', type: 'string' } } })],
    ['an id', object({ a: { $ref: 'https://e.com/a' } }, { $defs: { A: { $id: 'https://e.com/a' } } })],
    ['a definition that allows anything', object({ a: { $ref: '#/$defs/A' } }, { $defs: { A: true } })],
    ['draft 7', object({ a: { type: 'string' } }, { $schema: 'http://json-schema.org/draft-07/schema#' })],
  ])('takes %s', (_what, schema) => {
    expect(checkSchema(schema)).toEqual([]);
  });

  it.each(['properties', 'definitions', 'a/b~c'])('looks into a property that is called %s', (name) => {
    const [problem, ...more] = checkSchema(object({ [name]: text('^(a+)+$') }));
    expect(problem?.pointer).toBe(`properties/${name.replace('~', '~0').replace('/', '~1')}/pattern`);
    expect(more).toEqual([]);
  });

  it.each([
    String.raw`^-?\d{1,3}(,\d{3})*(\.\d+)?$`,
    '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$',
    String.raw`^\p{L}[\p{L}\d ._-]+$`,
    String.raw`([)?]\)a+)?`,
    '(?<=a)b+',
    'a?'.repeat(26),
  ])('takes the pattern %s', (pattern) => {
    expect(checkSchema(object({ a: text(pattern) }))).toEqual([]);
  });

  it.each(['(a{2}|a{3})+', '(a{2,3})+', '((a)?(a)?)+', '((a+)?)+', '(.*a){12}'])(
    'refuses the pattern %s, which takes exponential time',
    (pattern) => {
      expect(checkSchema(object({ a: text(pattern) }))).toHaveLength(1);
    },
  );

  it('reports every place that is wrong once', () => {
    const problems = checkSchema(object({ a: { type: 'strin' }, b: { type: 'intger', pattern: '(' } }));
    const places = problems.map(({ pointer }) => pointer).toSorted((x, y) => x.localeCompare(y));
    expect(places).toEqual(['properties/a/type', 'properties/b/pattern', 'properties/b/type']);
  });

  it.skipIf(noRecordedCalls)(`takes every recorded schema (${needsRecordedCalls})`, () => {
    const tools = recordedCases().flatMap((one) => one.tools);
    expect(tools.length).toBeGreaterThan(1_000);
    expect(tools.flatMap((tool) => checkSchema(tool.function.parameters))).toEqual([]);
  });
});
