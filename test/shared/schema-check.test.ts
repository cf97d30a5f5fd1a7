import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { dataFile } from '@callyard/shared/config';
import { checkSchema } from '@callyard/shared/schema-check';

const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });

describe('checking a schema at registration', () => {
  it.each([
    ['a type nobody knows', object({ city: { type: 'strin' } }), 'properties/city/type', 'did you mean "string"?'],
    ['a $ref that leads nowhere', object({ a: { $ref: '#/$defs/nope' } }), 'properties/a/$ref', 'leads nowhere'],
    [
      'a $ref to elsewhere',
      object({ a: { $ref: 'https://example.com/x.json' } }),
      'properties/a/$ref',
      'leads nowhere',
    ],
    [
      'a pattern with nested quantifiers',
      object({ a: { type: 'string', pattern: '^(a+)+$' } }),
      'properties/a/pattern',
      'nests quantifiers',
    ],
    [
      'a pattern that is no pattern',
      object({ a: { type: 'string', pattern: '(' } }),
      'properties/a/pattern',
      'Invalid regular expression',
    ],
    [
      'a key pattern with nested quantifiers',
      object({}, { patternProperties: { '(x*)*y': {} } }),
      'patternProperties',
      'nests quantifiers',
    ],
    ['arguments that are no object', { type: 'array' }, 'type', 'must be "object"'],
    ['a negative length', object({ a: { type: 'string', minLength: -1 } }), 'properties/a/minLength', '-1'],
    ['a dialect nobody knows', object({}, { $schema: 'https://example.com/dialect' }), '$schema', 'not known'],
  ])('refuses %s and names the place', (_what, schema, pointer, problem) => {
    const problems = checkSchema(schema);
    expect(problems).toHaveLength(1);
    expect(problems[0]?.pointer).toBe(pointer);
    expect(problems[0]?.problem).toContain(problem);
  });

  it.each([
    [
      'properties that are called like keywords',
      object({ pattern: { type: 'string' }, $ref: { type: 'string' }, type: { type: 'string' } }),
    ],
    ['a recursive schema', object({ child: { $ref: '#' } })],
    ['definitions', object({ a: { $ref: '#/$defs/A' } }, { $defs: { A: { type: 'string' } } })],
    ['an anchor', object({ a: { $ref: '#here' } }, { $defs: { A: { $anchor: 'here', type: 'string' } } })],
    ['draft 7', object({ a: { type: 'string' } }, { $schema: 'http://json-schema.org/draft-07/schema#' })],
  ])('takes %s', (_what, schema) => {
    expect(checkSchema(schema as never)).toEqual([]);
  });

  it('reports every place that is wrong once', () => {
    const problems = checkSchema(object({ a: { type: 'strin' }, b: { type: 'intger' } }));
    expect(problems.map(({ pointer }) => pointer).toSorted((x, y) => x.localeCompare(y))).toEqual([
      'properties/a/type',
      'properties/b/type',
    ]);
  });

  const bfcl = dataFile('bfcl.jsonl', fileURLToPath(new URL('../../../shared/data/', import.meta.url)));
  it.skipIf(!existsSync(bfcl))(
    'takes every recorded schema (needs bfcl.jsonl; CALLYARD_DATA_DIR names its folder)',
    () => {
      const lines = readFileSync(bfcl, 'utf8').trim().split('\n');
      const tools = lines.flatMap(
        (line) => (JSON.parse(line) as { tools: { function: { parameters: object } }[] }).tools,
      );
      expect(tools.length).toBeGreaterThan(1_000);
      expect(tools.flatMap((tool) => checkSchema(tool.function.parameters as never))).toEqual([]);
    },
  );
});
