import { didYouMean } from '../nearest.ts';
import type { JsonSchema } from '../schema.ts';
import { followRef, keysOf } from '../schema-ref.ts';
import type { Limit } from './limit.ts';

/** Costs of a tool's own limits that its arguments can never have. What a schema leaves open is taken. */
export function costPointerProblems(limits: readonly Limit[], parameters: JsonSchema): string[] {
  return limits.flatMap(({ cost }, i) => {
    const problem = typeof cost === 'object' ? pointerProblem(cost.pointer, parameters) : undefined;
    return problem === undefined ? [] : [`policy/limits/${i}/cost/pointer: ${problem}`];
  });
}

function pointerProblem(pointer: string, parameters: JsonSchema): string | undefined {
  let schema: unknown = parameters;
  for (const name of keysOf(pointer)) {
    const inner = childSchema(followRef(schema, parameters), name);
    if ('missing' in inner) return `${pointer} leads to no argument${didYouMean(name, inner.missing)}`;
    schema = inner.schema;
  }
  const types = typesOf(followRef(schema, parameters));
  if (types.length === 0 || types.some((type) => ['array', 'number', 'integer'].includes(type))) return undefined;
  return `${pointer} is of type ${types.join(' or ')}; an array or a number can be counted`;
}

/** The schema of a key; `undefined` where any value may be. */
function childSchema(schema: unknown, name: string): { schema: unknown } | { missing: string[] } {
  if (typeof schema !== 'object' || schema === null) return { schema: undefined };
  const { properties, items, additionalProperties, ...rest } = schema as JsonSchema;
  const known = (properties ?? {}) as JsonSchema;
  if (Object.hasOwn(known, name)) return { schema: known[name] };
  if (items !== undefined && /^\d+$/.test(name)) return { schema: items };
  const isOpen = typeof additionalProperties === 'object' || openingKeywords.some((keyword) => keyword in rest);
  const isTyped = properties !== undefined || items !== undefined || typesOf(schema).length > 0;
  return isOpen || !isTyped ? { schema: undefined } : { missing: Object.keys(known) };
}

/** What may know of keys that `properties` does not name. */
const openingKeywords = ['anyOf', 'oneOf', 'allOf', 'if', 'dependentSchemas', 'patternProperties', 'prefixItems'];

function typesOf(schema: unknown): string[] {
  const type = typeof schema === 'object' && schema !== null ? (schema as JsonSchema).type : undefined;
  return type === undefined ? [] : ([type].flat() as string[]);
}
