import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { toStrictJsonSchema } from 'openai/lib/transform';
import { describe, expect, it } from 'vitest';
import { validateArguments } from '@callyard/shared/arguments';
import { dataFile } from '@callyard/shared/config';
import type { JsonSchema } from '@callyard/shared/schema';
import { toStrict } from '../../packages/dispatcher/src/models/strict.ts';

const object = (properties: object, more: object = {}): JsonSchema => ({ type: 'object', properties, ...more });

describe('the strict copy of a schema', () => {
  it('closes objects and makes optional properties required and nullable', () => {
    const schema = object(
      {
        city: { type: 'string', minLength: 2, default: 'Oslo' },
        unit: { type: 'string', enum: ['c', 'f'] },
        stops: { type: 'array', items: object({ name: { type: 'string' } }) },
      },
      { required: ['city'] },
    );
    expect(toStrict(schema)).toEqual({
      type: 'object',
      properties: {
        city: { type: 'string' },
        unit: { type: ['string', 'null'], enum: ['c', 'f', null] },
        stops: {
          type: ['array', 'null'],
          items: {
            type: 'object',
            properties: { name: { type: ['string', 'null'] } },
            required: ['name'],
            additionalProperties: false,
          },
        },
      },
      required: ['city', 'unit', 'stops'],
      additionalProperties: false,
    });
  });

  it('turns oneOf into anyOf and follows definitions', () => {
    const schema = object(
      { a: { oneOf: [{ type: 'string' }, { $ref: '#/$defs/B' }] } },
      { required: ['a'], $defs: { B: object({ b: { type: 'integer' } }) } },
    );
    expect(toStrict(schema)).toMatchObject({
      properties: { a: { anyOf: [{ type: 'string' }, { $ref: '#/$defs/B' }] } },
      $defs: { B: { required: ['b'], additionalProperties: false } },
    });
  });

  it.each([
    ['an open object', object({ a: { type: 'object' } })],
    ['a map', object({ a: { type: 'object', additionalProperties: { type: 'string' } } })],
    ['a value of any type', object({ a: { description: 'anything' } })],
    ['patternProperties', object({}, { patternProperties: { '^x': { type: 'string' } } })],
    ['a condition', object({ a: { type: 'string' } }, { if: { required: ['a'] } })],
    ['an array of anything', object({ a: { type: 'array' } })],
  ])('does not exist for %s', (_what, schema) => {
    expect(toStrict(schema)).toBeUndefined();
  });

  it('does not exist beyond ten levels', () => {
    let schema: JsonSchema = { type: 'string' };
    for (let i = 0; i < 12; i++) schema = object({ a: schema });
    expect(toStrict(schema)).toBeUndefined();
  });

  it('leaves the schema it was made from alone', () => {
    const schema = object({ a: { type: 'string', default: 'x' } });
    toStrict(schema);
    expect(schema).toEqual(object({ a: { type: 'string', default: 'x' } }));
  });
});

interface Case {
  tools: { function: { name: string; parameters: JsonSchema } }[];
  tool_calls: { name: string; arguments: Record<string, unknown> }[];
}

const bfcl = dataFile('bfcl.jsonl', fileURLToPath(new URL('../../../shared/data/', import.meta.url)));
describe.skipIf(!existsSync(bfcl))('of recorded schemas (needs bfcl.jsonl; CALLYARD_DATA_DIR names its folder)', () => {
  const cases = (): Case[] =>
    readFileSync(bfcl, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Case);

  it('98 in 100 have a strict copy, and the official SDK takes every one', () => {
    const schemas = [
      ...new Map(
        cases().flatMap(({ tools }) =>
          tools.map((tool) => [JSON.stringify(tool.function.parameters), tool.function.parameters]),
        ),
      ).values(),
    ];
    const copies = schemas.map(toStrict).filter((copy) => copy !== undefined);
    expect(copies.length / schemas.length).toBeGreaterThan(0.98);
    for (const copy of copies) expect(() => toStrictJsonSchema(structuredClone(copy) as never)).not.toThrow();
  });

  it('a call written by a strict model, null for every absent optional, means the recorded call', () => {
    let compared = 0;
    for (const { tools, tool_calls: calls } of cases()) {
      for (const call of calls) {
        const tool = tools.find(({ function: { name } }) => name === call.name)?.function;
        const strict = tool && toStrict(tool.parameters);
        if (!strict || isFault(call.arguments, tool)) continue;
        const absent = (strict.required as string[])
          .filter((name) => !(name in call.arguments))
          .map((name) => [name, null] as const);
        expect(validateArguments(tool, { ...call.arguments, ...Object.fromEntries(absent) })).toEqual(call.arguments);
        compared += 1;
      }
    }
    expect(compared).toBeGreaterThan(1_600);
  });
});

function isFault(args: unknown, tool: { name: string; parameters: JsonSchema }): boolean {
  try {
    validateArguments(tool, args);
    return false;
  } catch {
    return true;
  }
}
