import { describe, expect, expectTypeOf, it } from 'vitest';
import Type from 'typebox';
import { defineTool, manifestHash, type ToolDefinition } from '@callyard/shared/tool';
import { createToolSet } from '@callyard/shared/tool-set';

const good = {
  name: 'crm.orders/find',
  version: '1.2.0',
  description: 'Finds',
  parameters: Type.Object({ id: Type.Integer() }),
  handler: () => 1,
};
const define = (changes: Partial<ToolDefinition<never>> | Record<string, unknown>) => () =>
  defineTool({ ...good, ...changes } as typeof good);

describe('defining a tool', () => {
  it('infers the arguments of the handler from the schema', () => {
    const { manifest } = defineTool({
      ...good,
      parameters: Type.Object({ city: Type.String(), days: Type.Optional(Type.Integer()) }),
      handler: (args) => expectTypeOf(args).toEqualTypeOf<{ city: string; days?: number }>(),
    });
    expect(manifest.parameters).toMatchObject({ required: ['city'] });
  });

  it('takes plain JSON Schema', () => {
    const { manifest } = defineTool({
      ...good,
      parameters: { type: 'object', properties: { id: { type: 'integer' } } },
    });
    expect(manifest.parameters).toEqual({ type: 'object', properties: { id: { type: 'integer' } } });
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
      sequential: false,
      isolate: false,
    });
    expect(manifestHash(manifest)).toBe(manifestHash(defineTool(good).manifest));
  });

  it('gives an at-most-once tool one attempt, whatever it asks for', () => {
    const { manifest } = defineTool({ ...good, policy: { effects: 'at-most-once', retry: { attempts: 5 } } });
    expect(manifest.policy.retry.attempts).toBe(1);
  });

  it.each([
    ['a bad name', { name: 'find orders' }, 'name: "find orders"'],
    ['a version that is none', { version: '1.2' }, 'version: "1.2" is not a semantic version'],
    ['no description', { description: ' ' }, 'description: the model needs one'],
    ['no handler', { handler: undefined }, 'handler: not a function'],
    [
      'a wrong schema',
      { parameters: { type: 'object', properties: { a: { type: 'strin' } } } },
      'parameters/properties/a/type: "strin"',
    ],
    [
      'a policy that has no such thing',
      { policy: { timeoutMS: 5 } },
      'policy: unknown timeoutMS; did you mean timeoutMs?',
    ],
    [
      'a retry that has no such thing',
      { policy: { retry: { attemps: 5 } } },
      'policy/retry: unknown attemps; did you mean attempts?',
    ],
    ['a policy of the wrong type', { policy: { timeoutMs: 'long' } }, 'policy/timeoutMs: must be integer'],
  ])('refuses %s and names the place', (_what, changes, said) => {
    expect(define(changes)).toThrow(said);
  });

  it('says everything that is wrong at once', () => {
    expect(define({ name: '!', version: 'x' })).toThrow(/name: [^]*version: /);
  });
});

describe('a set of tools', () => {
  const at = (version: string) => defineTool({ ...good, version });
  const set = createToolSet([at('1.0.0'), at('1.4.0'), at('2.0.0'), at('3.0.0-rc.1')]);
  const found = (version: string, range: string) => set.resolve({ name: good.name, version, range })?.manifest.version;

  it('finds the very version, else the highest in range', () => {
    expect(found('1.0.0', '^1.0.0')).toBe('1.0.0');
    expect(found('1.2.0', '^1.2.0')).toBe('1.4.0');
    expect(found('3.0.0-rc.0', '^3.0.0-rc.0')).toBe('3.0.0-rc.1');
    expect(found('4.0.0', '^4.0.0')).toBeUndefined();
    expect(set.resolve({ name: 'other', version: '1.0.0', range: '*' })).toBeUndefined();
  });

  it('refuses a version that is there twice, and says when the schemas differ', () => {
    const other = defineTool({ ...good, parameters: Type.Object({}), handler: () => 2 });
    expect(() => createToolSet([at('1.2.0'), at('1.2.0')])).toThrow('tool crm.orders/find@1.2.0: it is there twice.');
    expect(() => createToolSet([at('1.2.0'), other])).toThrow('twice, with two schemas');
  });

  it('refuses an isolated tool that no child process could load', () => {
    const isolated = defineTool({ ...good, policy: { isolate: true } });
    expect(() => createToolSet([isolated])).toThrow('module: import.meta.url');
    expect(createToolSet([{ ...isolated, module: import.meta.url }])).toBeDefined();
  });
});
