import safeRegex from 'safe-regex2';
import { Meta } from 'typebox/schema';
import { nearest } from './nearest.ts';
import { compileSchema, type JsonSchema, type SchemaError } from './schema.ts';
import { refTarget, valueAt } from './schema-ref.ts';

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
export function checkSchema(schema: unknown): SchemaProblem[] {
  if (!isObject(schema) || schema.type !== 'object') {
    return [{ pointer: 'type', problem: 'the arguments of a tool are an object: type must be "object"' }];
  }
  // Both are found out first: nothing that follows could walk such a schema.
  if (isDeeper(schema, maxDepth)) return [{ pointer: '', problem: `the schema is nested deeper than ${maxDepth}` }];
  const bytes = Buffer.byteLength(JSON.stringify(schema));
  if (bytes > maxBytes)
    return [{ pointer: '', problem: `the schema has ${bytes} bytes; at most ${maxBytes} are taken` }];
  const walked = walkProblems(schema, schema, []);
  const meta = metaProblems(schema);
  return [...walked, ...meta.filter(({ pointer }) => !walked.some((one) => one.pointer === pointer))];
}

const isObject = (node: unknown): node is JsonSchema => typeof node === 'object' && node !== null;

const isDeeper = (node: unknown, levels: number): boolean =>
  levels < 0 || (isObject(node) && Object.values(node).some((child) => isDeeper(child, levels - 1)));

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

/** Under these, keys are names that the author chose, and their values schemas. */
const namesUnder = new Set(['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas']);
/** Under these is data, whatever it looks like. */
const dataUnder = new Set(['const', 'default', 'enum', 'examples']);

/** What the meta-schema cannot say: references and patterns. */
function walkProblems(node: unknown, root: JsonSchema, path: readonly string[], under = ''): SchemaProblem[] {
  if (!isObject(node)) return [];
  return Object.entries(node).flatMap(([key, value]) => {
    const at = [...path, key.replaceAll('~', '~0').replaceAll('/', '~1')];
    const isName = namesUnder.has(under);
    if (!isName && dataUnder.has(key)) return [];
    const own = isName ? nameProblem(key, under) : keywordProblem(key, value, root);
    return [
      ...own.map((problem) => ({ pointer: at.join('/'), problem })),
      ...walkProblems(value, root, at, isName ? '' : key),
    ];
  });
}

function nameProblem(name: string, under: string): string[] {
  if (name === '__proto__') return ['a name that nothing may have'];
  // The compiled check sees what every object inherits, and makes an exception for `constructor` only.
  if (under === 'properties' && name in Object.prototype && name !== 'constructor') {
    return ['a name that every object has: it would count as given'];
  }
  return under === 'patternProperties' ? patternProblem(name) : [];
}

function keywordProblem(key: string, value: unknown, root: JsonSchema): string[] {
  if (typeof value !== 'string') return [];
  if (key === '$ref') return refProblem(value, root);
  return key === 'pattern' ? patternProblem(value) : [];
}

function refProblem(ref: string, root: JsonSchema): string[] {
  const target = refTarget(ref, root);
  if (target === undefined) return [`"${ref}" leads nowhere in this schema`];
  if (!isObject(target) && typeof target !== 'boolean') return [`"${ref}" leads to something that is no schema`];
  return leadsBack(target, target, root, new Set())
    ? [`"${ref}" leads back to itself without going into the value`]
    : [];
}

const inPlace = ['allOf', 'anyOf', 'oneOf', 'not', 'if', 'then', 'else'];

/** Whether checking a value against `node` means checking the same value against `start` again, and so for ever. */
function leadsBack(start: unknown, node: unknown, root: JsonSchema, seen: Set<unknown>): boolean {
  if (!isObject(node) || seen.has(node)) return false;
  seen.add(node);
  const referred = typeof node.$ref === 'string' ? [refTarget(node.$ref, root)] : [];
  const next = [...referred, ...inPlace.flatMap((key) => node[key])];
  return next.some((child) => child === start || leadsBack(start, child, root, seen));
}

function patternProblem(pattern: string): string[] {
  try {
    RegExp(pattern, 'u');
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
  return nestsQuantifiers(pattern) ? [`/${pattern}/ nests quantifiers: some texts would take it seconds to match`] : [];
}

/**
 * safe-regex2 takes `?` and `{4}` for quantifiers like any other, although `-?\d+(\.\d+)?` and `([0-9a-f]{4}-){3}` are
 * harmless, and does not know lookbehind.
 */
function nestsQuantifiers(pattern: string): boolean {
  const known = pattern.replaceAll('(?<=', '(?=').replaceAll('(?<!', '(?!');
  // Where there are alternatives, counts of different size are as many ways to match: (a{2}|a{3})+
  const uncounted = known.includes('|') ? known : known.replaceAll(/(?<!\))\{\d+\}/g, '');
  return !safeRegex(withoutOuterOptions(uncounted), { limit: Number.POSITIVE_INFINITY });
}

/** The pattern without the `?` of groups that no other group repeats. */
function withoutOuterOptions(pattern: string): string {
  let depth = 0;
  return pattern.replaceAll(/\\.|\[(?:\\.|[^\]\\])*\]|[()]\??/gs, (token) => {
    if (token.startsWith('(')) depth++;
    if (!token.startsWith(')')) return token;
    return --depth === 0 ? ')' : token;
  });
}
