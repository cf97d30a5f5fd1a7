import { toStrictJsonSchema } from 'openai/lib/transform';
import { describe, expect, it } from 'vitest';
import { validateArguments } from '@callyard/shared/arguments';
import { canonicalJson, compileSchema, type JsonSchema } from '@callyard/shared/schema';
import { toStrict } from '../../packages/dispatcher/src/models/strict.ts';
import { needsRecordedCalls, noRecordedCalls, recordedCases } from '../support/recorded.ts';

const object = (properties: object, more: object = {}): JsonSchema => ({ type: 'object', properties, ...more });
const closed = (properties: object): JsonSchema =>
  object(properties, { required: Object.keys(properties), additionalProperties: false });

/** The strict copy; throws where the official SDK would not take it. */
function strictOf(schema: JsonSchema): JsonSchema | undefined {
  const copy = toStrict(schema);
  if (copy) toStrictJsonSchema(structuredClone(copy));
  return copy;
}

describe('the strict copy of a schema', () => {
  it('is closed, with every property required', () => {
    const schema = object({ city: { type: 'string' }, stops: object({ n: { type: 'integer' } }, { required: ['n'] }) });
    expect(strictOf({ ...schema, required: ['city', 'stops'] })).toEqual(
      closed({ city: { type: 'string' }, stops: closed({ n: { type: 'integer' } }) }),
    );
  });

  it.each([
    ['a text', { type: 'string' }, { type: ['string', 'null'] }],
    ['a nullable text', { type: ['string', 'null'] }, { type: ['string', 'null'] }],
    ['an enum', { type: 'string', enum: ['c', 'f'] }, { type: ['string', 'null'], enum: ['c', 'f', null] }],
    ['an enum without a type', { enum: ['c', 1] }, { type: ['string', 'number', 'null'], enum: ['c', 1, null] }],
    ['a constant', { const: 'c' }, { anyOf: [{ type: 'string', const: 'c' }, { type: 'null' }] }],
    ['a union', { anyOf: [{ type: 'string' }] }, { anyOf: [{ type: 'string' }, { type: 'null' }] }],
    ['a oneOf', { oneOf: [{ type: 'string' }] }, { anyOf: [{ type: 'string' }, { type: 'null' }] }],
    ['a reference', { $ref: '#' }, { anyOf: [{ $ref: '#' }, { type: 'null' }] }],
    ['an object', object({ b: { type: 'null' } }), { ...closed({ b: { type: ['null'] } }), type: ['object', 'null'] }],
    ['a list', { type: 'array', items: object({}) }, { type: ['array', 'null'], items: closed({}) }],
  ])('makes %s nullable where it is optional', (_what, property, expected) => {
    expect(strictOf(object({ a: property }))).toEqual(closed({ a: expected }));
  });

  it('says the type of an enum and of a constant, without which OpenAI refuses the request', () => {
    const schema = object({ a: { enum: ['c', 'f'] }, b: { const: true } }, { required: ['a', 'b'] });
    expect(strictOf(schema)).toEqual(
      closed({ a: { type: 'string', enum: ['c', 'f'] }, b: { type: 'boolean', const: true } }),
    );
  });

  it('drops a pattern that looks around, which OpenAI refuses', () => {
    const schema = object({ a: { type: 'string', pattern: '^(?!x)a' } }, { required: ['a'] });
    expect(strictOf(schema)).toEqual(closed({ a: { type: 'string' } }));
  });

  it('drops what only narrows and keeps what the provider knows', () => {
    const narrow = { minLength: 2, maxLength: 9, default: 'x', title: 'T', format: 'uri' };
    const known = { pattern: '^x', description: 'D' };
    const schema = object(
      { a: { type: 'string', ...narrow, ...known }, b: { type: 'string', format: 'date' } },
      { required: ['a', 'b'], $schema: 'https://json-schema.org/draft/2020-12/schema' },
    );
    expect(strictOf(schema)).toEqual(
      closed({ a: { type: 'string', ...known }, b: { type: 'string', format: 'date' } }),
    );
  });

  it('takes properties that are called like keywords', () => {
    const named = { default: { type: 'string' }, $ref: { type: 'string' }, not: { type: 'string' } };
    expect(strictOf(object(named, { required: Object.keys(named) }))).toEqual(closed(named));
  });

  it('closes definitions too', () => {
    const schema = object(
      { a: { $ref: '#/$defs/B' } },
      { required: ['a'], $defs: { B: object({ b: { type: 'integer' } }) } },
    );
    expect(strictOf(schema)?.$defs).toEqual({ B: closed({ b: { type: ['integer', 'null'] } }) });
  });

  it.each([
    ['an open object', object({ a: { type: 'object' } })],
    ['a map', object({ a: { type: 'object', additionalProperties: { type: 'string' } } })],
    ['an object that takes any key', object({ a: { type: 'string' } }, { additionalProperties: true })],
    ['a value of any type', object({ a: { description: 'anything' } })],
    ['a list of anything', object({ a: { type: 'array' } })],
    ['patternProperties', object({}, { patternProperties: { '^x': { type: 'string' } } })],
    ['a condition', object({ a: { type: 'string' } }, { if: { required: ['a'] } })],
    ['a union at the root', object({ a: { type: 'string' } }, { anyOf: [object({ a: { type: 'string' } })] })],
    ['a reference at the root', { type: 'object', $ref: '#/$defs/A', $defs: { A: object({}) } }],
    ['a reference by name', object({ a: { $ref: 'A' } }, { $defs: { A: { $id: 'A', type: 'string' } } })],
    ['a reference to what moves', object({ a: { oneOf: [object({})] }, b: { $ref: '#/properties/a/oneOf/0' } })],
    ['a required property that is not described', object({ a: { type: 'string' } }, { required: ['a', 'b'] })],
    ['an enum of objects', object({ a: { enum: [{ x: 1 }] } })],
    ['1,001 values', object({ a: { enum: Array.from({ length: 1_001 }, (_, i) => i) } })],
    [
      '5,001 properties',
      object(Object.fromEntries(Array.from({ length: 5_001 }, (_, i) => [`p${i}`, { type: 'null' }]))),
    ],
  ])('does not exist for %s', (_what, schema) => {
    expect(toStrict(schema)).toBeUndefined();
  });

  it.each([
    [10, true],
    [11, false],
  ])('of a schema nested %i deep: %s', (levels, exists) => {
    let schema: JsonSchema = { type: 'string' };
    for (let i = 0; i < levels; i++) schema = object({ a: schema });
    expect(strictOf(schema) !== undefined).toBe(exists);
  });

  it('leaves the schema it was made from alone', () => {
    const schema = object({ a: { type: 'string', default: 'x', enum: ['x'] } });
    const before = structuredClone(schema);
    toStrict(schema);
    expect(schema).toEqual(before);
  });
});

describe.skipIf(noRecordedCalls)(`the strict copies of recorded schemas (${needsRecordedCalls})`, () => {
  it('exist for 98 in 100, and the official SDK takes every one', () => {
    const parameters = recordedCases().flatMap(({ tools }) => tools.map((tool) => tool.function.parameters));
    const distinct = [...new Map(parameters.map((schema) => [canonicalJson(schema), schema])).values()];
    const copies = distinct.map(strictOf).filter((copy) => copy !== undefined);
    expect(distinct.length).toBeGreaterThan(500);
    expect(copies.length / distinct.length).toBeGreaterThan(0.98);
  });

  it('take the recorded calls with null for every absent optional, which mean the recorded calls', () => {
    let compared = 0;
    for (const { tools, tool_calls: calls } of recordedCases()) {
      for (const { name, arguments: args } of calls) {
        const tool = tools.find((one) => one.function.name === name)?.function;
        const copy = tool && toStrict(tool.parameters);
        if (!copy || !compileSchema(tool.parameters).check(args)) continue;
        // A model in strict mode cannot write an argument that the schema does not name; one recorded call has such.
        if (Object.keys(args).some((key) => !(copy.required as string[]).includes(key))) continue;
        const written = asWritten(args, copy);
        expect(compileSchema(copy).errors(written)).toEqual([]);
        expect(validateArguments(tool, written)).toEqual(args);
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(1_600);
  });
});

/** Arguments as a model in strict mode has to write them: null for every property that it leaves out. */
function asWritten(value: unknown, strict: JsonSchema): unknown {
  if (Array.isArray(value)) return value.map((item) => asWritten(item, strict.items as JsonSchema));
  if (typeof value !== 'object' || value === null) return value;
  const given = value as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries((strict.properties ?? {}) as Record<string, JsonSchema>).map(([name, property]) => [
      name,
      name in given ? asWritten(given[name], property) : null,
    ]),
  );
}
