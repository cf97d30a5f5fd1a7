import type { JsonSchema } from '@callyard/shared/schema';

/** What OpenAI's structured outputs take at most. */
const maxDepth = 10;
const limits = { properties: 5_000, values: 1_000 };
type Budget = typeof limits;

/** Keywords that only narrow: the provider's copy can do without them, as the worker validates the original. */
const dropped = new Set([
  '$schema',
  '$id',
  '$comment',
  'title',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  'minLength',
  'maxLength',
  'uniqueItems',
  'minProperties',
  'maxProperties',
  'optional',
  'contentEncoding',
  'contentMediaType',
]);
const kept = new Set([
  'type',
  'description',
  'enum',
  'const',
  'items',
  'properties',
  'required',
  'anyOf',
  '$ref',
  '$defs',
  'definitions',
  'pattern',
  'format',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minItems',
  'maxItems',
  'additionalProperties',
  'oneOf',
]);

/** The formats that are known there; any other is refused with the whole request. */
const formats = ['date-time', 'time', 'date', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid'];

/** The schema says something that strict mode cannot. */
class NotStrict extends Error {}

/**
 * The copy of a schema that OpenAI's strict mode takes, or undefined where there is none: every object closed, every
 * property required, optional ones nullable (the worker takes the null for absent), a type said everywhere, the root no
 * union. Rules: "Structured model outputs", OpenAI platform guide. 98.9 % of the schemas of BFCL v4 have such a copy.
 */
export function toStrict(schema: JsonSchema): JsonSchema | undefined {
  if (schema.anyOf !== undefined || schema.oneOf !== undefined || schema.$ref !== undefined) return undefined;
  try {
    return strictNode(schema, 0, { ...limits });
  } catch (error) {
    if (error instanceof NotStrict) return undefined;
    throw error;
  }
}

function strictNode(node: unknown, depth: number, budget: Budget): JsonSchema {
  if (typeof node !== 'object' || node === null || depth > maxDepth) throw new NotStrict();
  const schema = node as JsonSchema;
  const unknown = Object.keys(schema).filter((key) => !dropped.has(key) && !kept.has(key));
  if (unknown.length > 0) throw new NotStrict();
  const inner = (child: unknown) => strictNode(child, depth + 1, budget);
  const copy: JsonSchema = Object.fromEntries(Object.entries(schema).filter(([key]) => kept.has(key)));
  if (!formats.includes(copy.format as string)) delete copy.format;
  if (/\(\?<?[=!]/.test(String(copy.pattern))) delete copy.pattern;
  for (const key of ['$defs', 'definitions']) if (copy[key]) copy[key] = mapValues(copy[key], inner);
  if (copy.$ref !== undefined) return reference(copy.$ref);
  const branches = copy.anyOf ?? copy.oneOf;
  delete copy.oneOf;
  if (branches !== undefined) copy.anyOf = (branches as unknown[]).map(inner);
  else copy.type ??= typeOf(copy);
  if (Array.isArray(copy.enum)) spend(budget, 'values', copy.enum.length);
  if (hasType(copy, 'array')) copy.items = inner(copy.items);
  return hasType(copy, 'object') ? closed(copy, inner, budget) : copy;
}

/** Only what keeps its place in the copy can be pointed at. */
function reference(ref: unknown): JsonSchema {
  if (typeof ref !== 'string' || !/^#(\/(\$defs|definitions)\/[^/]+)?$/.test(ref)) throw new NotStrict();
  return { $ref: ref };
}

/** The types of the values: OpenAI refuses the whole request for an enum that does not say them. */
function typeOf({ const: only, enum: values = only === undefined ? [] : [only] }: JsonSchema): unknown {
  const types = [...new Set((values as unknown[]).map((value) => (value === null ? 'null' : typeof value)))];
  if (types.length === 0 || types.includes('object')) throw new NotStrict();
  return types.length === 1 ? types[0] : types;
}

function spend(budget: Budget, what: keyof Budget, count: number): void {
  budget[what] -= count;
  if (budget[what] < 0) throw new NotStrict();
}

/** An object with named properties only; one that is open to any key has no strict copy. */
function closed(schema: JsonSchema, inner: (child: unknown) => JsonSchema, budget: Budget): JsonSchema {
  const { properties = {}, required = [], additionalProperties } = schema;
  const names = Object.keys(properties as object);
  const open = additionalProperties !== undefined && additionalProperties !== false;
  if (open || (names.length === 0 && schema.properties === undefined)) throw new NotStrict();
  spend(budget, 'properties', names.length);
  const needed = new Set(required as string[]);
  if ([...needed].some((name) => !names.includes(name))) throw new NotStrict();
  const strict = Object.entries(properties as Record<string, unknown>).map(([name, property]) => {
    const copy = inner(property);
    return [name, needed.has(name) ? copy : nullable(copy)] as const;
  });
  return { ...schema, properties: Object.fromEntries(strict), required: names, additionalProperties: false };
}

function nullable(schema: JsonSchema): JsonSchema {
  const { type, enum: values, anyOf } = schema;
  if (Array.isArray(anyOf)) return { ...schema, anyOf: [...(anyOf as unknown[]), { type: 'null' }] };
  if (type === undefined || schema.const !== undefined) return { anyOf: [schema, { type: 'null' }] };
  const types = Array.isArray(type) ? (type as string[]) : [type as string];
  const withNull = types.includes('null') ? types : [...types, 'null'];
  return {
    ...schema,
    type: withNull,
    ...(Array.isArray(values) ? { enum: [...new Set([...(values as unknown[]), null])] } : {}),
  };
}

const hasType = ({ type }: JsonSchema, name: string): boolean =>
  type === name || (Array.isArray(type) && (type as string[]).includes(name));

const mapValues = (value: unknown, map: (child: unknown) => JsonSchema): JsonSchema =>
  Object.fromEntries(Object.entries(value as object).map(([key, child]) => [key, map(child)]));
