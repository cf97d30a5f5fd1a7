import safeRegex from 'safe-regex2';
import { Meta } from 'typebox/schema';
import { nearest } from './nearest.ts';
import { compileSchema, type JsonSchema, type SchemaError } from './schema.ts';

/** What is wrong with a schema, and where in it (a JSON Pointer without its first slash). */
export interface SchemaProblem {
  pointer: string;
  problem: string;
}

const draft2020 = 'https://json-schema.org/draft/2020-12/schema';
const maxBytes = 256 * 1024;
const maxDepth = 64;

/**
 * Checks the schema of a tool before anybody relies on it. A compiler takes `{type: 'strin'}` for anything, an
 * unresolvable `$ref` for nothing, and a pattern such as `^(a+)+$` keeps a worker busy for seconds.
 */
export function checkSchema(schema: JsonSchema): SchemaProblem[] {
  if (schema.type !== 'object')
    return [{ pointer: 'type', problem: 'the arguments of a tool are an object: type must be "object"' }];
  const text = JSON.stringify(schema);
  if (text.length > maxBytes)
    return [{ pointer: '', problem: `the schema has ${text.length} bytes; at most ${maxBytes} are taken` }];
  const walked = walkProblems(schema, schema, [], 0);
  const meta = metaProblems(schema);
  return [...walked, ...meta.filter(({ pointer }) => !walked.some((one) => one.pointer === pointer))];
}

function metaProblems(schema: JsonSchema): SchemaProblem[] {
  const dialect = typeof schema.$schema === 'string' ? schema.$schema : draft2020;
  const metaSchema =
    (Meta as Record<string, JsonSchema>)[dialect] ?? (Meta as Record<string, JsonSchema>)[dialect.replace(/#$/, '')];
  if (!metaSchema) return [{ pointer: '$schema', problem: `the dialect ${dialect} is not known` }];
  const compiled = compileSchema(metaSchema);
  if (compiled.check(schema)) return [];
  return onePerPlace(compiled.errors(schema)).map((error) => ({
    pointer: error.instancePath.slice(1),
    problem: describe(error, valueAt(schema, error.instancePath)),
  }));
}

/** The deepest places, one error each: whatever holds a fault is reported as faulty too. */
function onePerPlace(errors: readonly SchemaError[]): SchemaError[] {
  const places = new Map<string, SchemaError>();
  for (const error of errors) if (!places.has(error.instancePath)) places.set(error.instancePath, error);
  const paths = [...places.keys()];
  return [...places.values()].filter(({ instancePath }) => !paths.some((path) => path.startsWith(`${instancePath}/`)));
}

function describe({ keyword, params, message }: SchemaError, value: unknown): string {
  const shown = JSON.stringify(value)?.slice(0, 80);
  const allowed = params.allowedValues;
  if (keyword !== 'enum' || !Array.isArray(allowed)) return `${shown} ${message}`;
  const close = typeof value === 'string' ? nearest(value, allowed as string[]) : undefined;
  return `${shown} is not one of ${allowed.join(', ')}${close === undefined ? '' : `; did you mean "${close}"?`}`;
}

/** What the meta-schema cannot say: references, patterns, depth. */
function walkProblems(node: unknown, root: JsonSchema, path: readonly string[], depth: number): SchemaProblem[] {
  if (typeof node !== 'object' || node === null) return [];
  if (depth > maxDepth) return [{ pointer: path.join('/'), problem: `nested deeper than ${maxDepth}` }];
  return Object.entries(node).flatMap(([key, value]) => {
    const at = [...path, key];
    const inNames = path.at(-1) === 'properties' || path.at(-1) === '$defs' || path.at(-1) === 'definitions';
    return [...(inNames ? [] : keywordProblems(key, value, root, at)), ...walkProblems(value, root, at, depth + 1)];
  });
}

function keywordProblems(key: string, value: unknown, root: JsonSchema, at: readonly string[]): SchemaProblem[] {
  const problem = (text: string): SchemaProblem[] => [{ pointer: at.join('/'), problem: text }];
  if (key === '__proto__') return problem('a key that no schema may have');
  if (key === '$ref' && typeof value === 'string' && !resolves(value, root)) {
    return problem(`"${value}" leads nowhere in this schema`);
  }
  if (key === 'pattern' && typeof value === 'string') return patternProblem(value).flatMap(problem);
  if (key === 'patternProperties' && typeof value === 'object' && value !== null) {
    return Object.keys(value).flatMap(patternProblem).flatMap(problem);
  }
  return [];
}

function patternProblem(pattern: string): string[] {
  try {
    RegExp(pattern, 'u');
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  return safeRegex(pattern) ? [] : [`/${pattern}/ nests quantifiers: some texts would take it seconds to match`];
}

/** Whether a local reference leads somewhere: a pointer, or an anchor or id in the schema. */
function resolves(ref: string, root: JsonSchema): boolean {
  if (ref === '#') return true;
  if (ref.startsWith('#/')) return valueAt(root, decodeURIComponent(ref.slice(1))) !== undefined;
  const name = ref.replace(/^#/, '');
  const found = (node: unknown): boolean =>
    typeof node === 'object' &&
    node !== null &&
    (Object.entries(node).some(
      ([key, value]) => ['$anchor', '$dynamicAnchor', '$id'].includes(key) && value === name,
    ) ||
      Object.values(node).some(found));
  return found(root);
}

/** RFC 6901. */
function valueAt(root: unknown, pointer: string): unknown {
  const keys = pointer
    .split('/')
    .slice(1)
    .map((key) => key.replaceAll('~1', '/').replaceAll('~0', '~'));
  return keys.reduce<unknown>(
    (node, key) =>
      typeof node === 'object' && node !== null && Object.hasOwn(node, key) ? (node as JsonSchema)[key] : undefined,
    root,
  );
}
