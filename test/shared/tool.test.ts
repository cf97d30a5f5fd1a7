import Type from 'typebox';
import { describe, expect, expectTypeOf, it } from 'vitest';
import { validateArguments } from '@callyard/shared/arguments';
import type { JsonSchema } from '@callyard/shared/schema';
import { defineTool, manifestHash, ToolDefinitionError } from '@callyard/shared/tool';

const good = {
  name: 'crm.orders/find',
  version: '1.2.0',
  description: 'Finds',
  parameters: Type.Object({ id: Type.Integer() }),
  handler: () => 1,
};
const failureOf = (changes: object): ToolDefinitionError => {
  try {
    defineTool({ ...good, ...changes });
  } catch (error) {
    return error as ToolDefinitionError;
  }
  throw new Error('the tool was taken');
};
const cyclic: Record<string, unknown> = { type: 'object' };
cyclic.self = cyclic;

describe('defining a tool', () => {
  it('infers the arguments of the handler from the schema', () => {
    const parameters = Type.Object({
      city: Type.String(),
      days: Type.Optional(Type.Integer()),
      unit: Type.Enum(['celsius', 'fahrenheit']),
      mode: Type.Union([Type.Literal('walk'), Type.Null()]),
    });
    const { manifest } = defineTool({
      ...good,
      parameters,
      handler: (args, ctx) => {
        expectTypeOf(args.city).toEqualTypeOf<string>();
        expectTypeOf(args.days).toEqualTypeOf<number | undefined>();
        expectTypeOf(args.unit).toEqualTypeOf<'celsius' | 'fahrenheit'>();
        expectTypeOf(args.mode).toEqualTypeOf<'walk' | null>();
        expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>();
      },
    });
    expect(manifest.parameters.required).toEqual(['city', 'unit', 'mode']);
  });

  it('keeps unions, enums and optionals of TypeBox as plain JSON Schema', () => {
    const parameters = Type.Object({
      mode: Type.Optional(Type.Union([Type.Literal('walk'), Type.Literal('train')])),
      unit: Type.Enum(['celsius', 'fahrenheit']),
    });
    const { manifest } = defineTool({ ...good, parameters });
    expect(manifest.parameters).toEqual({
      type: 'object',
      required: ['unit'],
      properties: {
        mode: {
          anyOf: [
            { type: 'string', const: 'walk' },
            { type: 'string', const: 'train' },
          ],
        },
        unit: { enum: ['celsius', 'fahrenheit'] },
      },
    });
    expect(validateArguments(manifest, { unit: 'celsius', mode: null })).toEqual({ unit: 'celsius' });
    expect(() => validateArguments(manifest, { unit: 'kelvin' })).toThrow('got "kelvin"');
  });

  it('takes plain JSON Schema, for arguments of any type', () => {
    const parameters = { type: 'object', properties: { id: { type: 'integer' } } };
    const handler = (args: Record<string, unknown>) => args;
    const { manifest } = defineTool({ ...good, parameters, handler });
    expect(manifest.parameters).toEqual(parameters);
    expect(() => validateArguments(manifest, { id: 'x' })).toThrow('/id: must be integer');
  });

  it('infers the arguments from plain JSON Schema that is written in place', () => {
    const { manifest } = defineTool({
      ...good,
      parameters: {
        type: 'object',
        properties: { id: { type: 'integer' }, unit: { enum: ['c', 'f'] } },
        required: ['id'],
      },
      handler: (args) => expectTypeOf(args).toEqualTypeOf<{ id: number; unit?: 'c' | 'f' }>(),
    });
    expect(manifest.parameters.required).toEqual(['id']);
  });

  it('hands a record to the handler of a schema that only running tells', () => {
    const parameters = JSON.parse('{"type": "object"}') as JsonSchema;
    const { manifest } = defineTool({
      ...good,
      parameters,
      handler: (args) => expectTypeOf(args).toEqualTypeOf<Record<string, unknown>>(),
    });
    expect(manifest.parameters).toEqual(parameters);
  });

  it('keeps a manifest of plain JSON with every default of its policy', () => {
    const { manifest } = defineTool(good);
    expect(JSON.parse(JSON.stringify(manifest))).toEqual(manifest);
    expect(manifest.policy).toEqual({
      timeoutMs: 30_000,
      retry: { attempts: 3, minDelayMs: 200, maxDelayMs: 10_000 },
      maxLost: 3,
      requires: [],
      effects: 'idempotent',
      hosts: [],
      upstreamKey: 'tool',
      limits: [],
      sequential: false,
      isolate: false,
    });
  });

  it('fills in what a policy leaves out, also inside', () => {
    const { manifest } = defineTool({
      ...good,
      policy: { retry: { attempts: 7 }, hosts: ['a.test', { host: 'b.test' }] },
    });
    expect(manifest.policy.retry).toEqual({ attempts: 7, minDelayMs: 200, maxDelayMs: 10_000 });
    expect(manifest.policy.hosts).toEqual(['a.test', { host: 'b.test', internal: false }]);
  });

  it('has no circuit unless a policy asks for one, and then fills in its figures', () => {
    const { policy } = defineTool({ ...good, policy: { breaker: { failures: 2 } } }).manifest;
    expect(policy.breaker).toEqual({ failures: 2, halfOpenAfterMs: 10_000 });
    expect(defineTool({ ...good, policy: { breaker: {} } }).manifest.policy.breaker).toMatchObject({ failures: 5 });
  });

  it('keeps a fallback beside its handler, with the same arguments', () => {
    const { fallback, manifest } = defineTool({
      ...good,
      parameters: Type.Object({ id: Type.Integer() }),
      fallback: (args) => expectTypeOf(args).toEqualTypeOf<{ id: number }>(),
    });
    expect(fallback).toBeTypeOf('function');
    expect(manifestHash(manifest)).toBe(manifestHash(defineTool(good).manifest));
  });

  it('keeps a manifest that nobody can change', () => {
    const { manifest } = defineTool(good);
    expect(() => manifest.policy.requires.push('admin')).toThrow(TypeError);
    expect(() => Object.assign(manifest.parameters, { type: 'array' })).toThrow(TypeError);
  });

  it('gives an at-most-once tool one attempt, whatever it asks for', () => {
    const { manifest } = defineTool({ ...good, policy: { effects: 'at-most-once', retry: { attempts: 5 } } });
    expect(manifest.policy.retry.attempts).toBe(1);
  });

  it.each([
    ['a bad name', { name: 'find orders' }, 'name: "find orders"'],
    ['a name of 129 characters', { name: 'x'.repeat(129) }, 'name: '],
    ['no name', { name: undefined }, 'name: undefined'],
    ['a version with two numbers', { version: '1.2' }, 'version: "1.2" is not a semantic version'],
    ['a version with a v', { version: 'v1.2.0' }, 'version: "v1.2.0"'],
    ['no version', { version: undefined }, 'version: undefined'],
    ['a version too long for an envelope', { version: `1.0.0-${'a'.repeat(64)}` }, 'version: 70 characters'],
    ['a category that is none', { category: 5 }, 'category: not a string'],
    ['a module that is none', { module: 5 }, 'module: not a string'],
    ['an unknown key', { polcy: {} }, 'tool crm.orders/find@1.2.0: unknown polcy; did you mean policy?'],
    ['no description', { description: ' ' }, 'description: the model needs one'],
    ['no handler', { handler: undefined }, 'handler: not a function'],
    ['an approval that is neither', { needsApproval: false }, 'needsApproval: neither true nor a function'],
    ['an approver of nothing', { policy: { approval: {} } }, 'policy/approval: says who approves, but there is no'],
    [
      'a wrong approver',
      { needsApproval: true, policy: { approval: { requires: [''] } } },
      'policy/approval/requires/0',
    ],
    [
      'a wrong type in the schema',
      { parameters: { type: 'object', properties: { a: { type: 'strin' } } } },
      'parameters/properties/a/type: "strin"',
    ],
    ['no schema', { parameters: undefined }, 'parameters/type: '],
    ['a schema that is no JSON', { parameters: cyclic }, 'parameters/type: '],
    ['an unknown policy', { policy: { timeoutMS: 5 } }, 'policy: unknown timeoutMS; did you mean timeoutMs?'],
    [
      'an unknown retry',
      { policy: { retry: { attemps: 5 } } },
      'policy/retry: unknown attemps; did you mean attempts?',
    ],
    [
      'an unknown trait of a host',
      { policy: { hosts: [{ host: 'a', internl: true }] } },
      'policy/hosts/0: unknown internl; did you mean internal?',
    ],
    [
      'effects that are none',
      { policy: { effects: 'at_most_once' } },
      'policy/effects: expected one of "none", "idempotent", "at-most-once", got "at_most_once"; did you mean "at-most-once"?',
    ],
    ['a policy of the wrong type', { policy: { timeoutMs: 'long' } }, 'policy/timeoutMs: must be integer'],
    ['a function for a policy', { policy: { timeoutMs: () => 5 } }, 'policy/timeoutMs: must be integer'],
    ['a timeout longer than any timer', { policy: { timeoutMs: 2 ** 31 } }, 'policy/timeoutMs: must be <= 2147483647'],
    [
      'a circuit that is never closed',
      { policy: { breaker: { failures: 0 } } },
      'policy/breaker/failures: must be >= 1',
    ],
    [
      'a circuit that opens for no time',
      { policy: { breaker: { halfOpenAfterMs: 0 } } },
      'policy/breaker/halfOpenAfterMs: must be >= 1',
    ],
    [
      'a circuit that opens for longer than any timer',
      { policy: { breaker: { halfOpenAfterMs: 2 ** 31 } } },
      'policy/breaker/halfOpenAfterMs: must be <= 2147483647',
    ],
    [
      'an unknown trait of a circuit',
      { policy: { breaker: { failure: 3 } } },
      'policy/breaker: unknown failure; did you mean failures?',
    ],
    ['a circuit that is none', { policy: { breaker: true } }, 'policy/breaker: must be object'],
    ['a fallback that is a name', { fallback: 'other' }, "fallback: neither a function nor { tool: 'name' }"],
    ['a fallback of nothing', { fallback: {} }, "fallback: neither a function nor { tool: 'name' }"],
    ['no attempt at all', { policy: { retry: { attempts: 0 } } }, 'policy/retry/attempts: must be >= 1'],
  ])('refuses %s and names the place', (_what, changes, said) => {
    const error = failureOf(changes);
    expect(error).toBeInstanceOf(ToolDefinitionError);
    expect(error.message).toContain(said);
    expect(error.message.startsWith('tool ')).toBe(true);
  });

  it('says everything that is wrong at once, a line each', () => {
    const { message } = failureOf({ name: '!', version: 'x', policy: { timeoutMs: 0 }, parameters: {} });
    expect(message.split('\n').map((line) => line.replace(/^tool !@x: ([\w/]+):.*$/, '$1'))).toEqual([
      'policy/timeoutMs',
      'name',
      'version',
      'parameters/type',
    ]);
  });
});

describe('the hash of a manifest', () => {
  const hashOf = (changes: object) => manifestHash(defineTool({ ...good, ...changes }).manifest);

  it('is the same for the same tool, in whatever order its keys were written', () => {
    const a = { type: 'object', properties: { x: { type: 'string', minLength: 1 }, y: {} } };
    const b = { properties: { y: {}, x: { minLength: 1, type: 'string' } }, type: 'object' };
    expect(hashOf({ parameters: a })).toBe(hashOf({ parameters: b }));
    expect(hashOf({})).toMatch(/^[0-9a-f]{16}$/);
  });

  it('changes with everything in it', () => {
    const changes = [
      {},
      { version: '1.2.1' },
      { description: 'x' },
      { category: 'x' },
      { policy: { timeoutMs: 1 } },
      { parameters: Type.Object({}) },
    ];
    expect(new Set(changes.map(hashOf)).size).toBe(changes.length);
  });
});
