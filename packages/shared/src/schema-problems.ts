import { didYouMean, nearest } from './nearest.ts';
import { compileSchema, type JsonSchema, type SchemaError } from './schema.ts';
import { schemaAt, unescaped, valueAt } from './schema-ref.ts';

/** One thing that is wrong with a value, said so that whoever wrote the value can mend it. */
export interface Problem {
  /** JSON Pointer into the value; empty for the value itself */
  pointer: string;
  problem: string;
}

interface Checked {
  value: unknown;
  schema: JsonSchema;
}

/** Everything wrong with a value, one problem for each fault: a validator has several errors for most of them. */
export function problemsOf(value: unknown, schema: object): Problem[] {
  const problems = explain(compileSchema(schema).errors(value), { value, schema: schema as JsonSchema });
  return [...new Map(problems.map((one) => [`${one.pointer} ${one.problem}`, one])).values()];
}

function explain(errors: readonly SchemaError[], checked: Checked): Problem[] {
  const outer = errors.filter((error) => !errors.some((other) => isInside(error, other)));
  return outer.flatMap((error) => {
    const inner = errors.filter((other) => isInside(other, error));
    if (error.keyword === 'anyOf' || error.keyword === 'oneOf') return explainUnion(error, inner, checked);
    // Every key that is too many has an error of its own, which names it.
    if (error.keyword === 'additionalProperties') return explain(inner, checked);
    return describe(error, checked);
  });
}

/** Whether an error comes from within the keyword that reports the other. */
function isInside(error: SchemaError, { keyword, schemaPath, instancePath }: SchemaError): boolean {
  return isWithin(error.schemaPath, `${schemaPath}/${keyword}`) && isWithin(error.instancePath, instancePath);
}

const isWithin = (path: string, outer: string): boolean => path === outer || path.startsWith(`${outer}/`);

/** The faults of the branch that was meant, if the value has the shape of one; else what the branches would take. */
function explainUnion(union: SchemaError, inner: readonly SchemaError[], checked: Checked): Problem[] {
  const prefix = `${union.schemaPath}/${union.keyword}/`;
  const branches = Map.groupBy(inner, ({ schemaPath }) => schemaPath.slice(prefix.length).split('/', 1)[0]);
  const shaped = [...branches.values()].filter((errors) => !errors.some((error) => isMismatch(error, union)));
  const meant = shaped.filter((errors) => !tagFault(errors)).toSorted((a, b) => a.length - b.length)[0];
  if (meant) return explain(meant, checked);
  const place = shaped.map(tagFault)[0] ?? union;
  const here = inner.filter((error) => isMismatch(error, place));
  if (here.length === 0) return describe(union, checked);
  const got = valueAt(checked.value, place.instancePath);
  return [
    { pointer: clip(place.instancePath), problem: expected(here.flatMap(allowedBy), here.flatMap(typesIn), got) },
  ];
}

const isMismatch = ({ keyword, instancePath }: SchemaError, at: SchemaError): boolean =>
  instancePath === at.instancePath && ['type', 'const', 'enum'].includes(keyword);

/** A constant that does not fit: the value is meant for another branch of a tagged union. */
const tagFault = (errors: readonly SchemaError[]): SchemaError | undefined =>
  errors.find(({ keyword }) => keyword === 'const');

function describe(error: SchemaError, { value, schema }: Checked): Problem[] {
  const { keyword, params, schemaPath, instancePath, message } = error;
  const say = (problem: string, pointer = instancePath): Problem[] => [{ pointer: clip(pointer), problem }];
  switch (keyword) {
    case 'required':
      return say(`missing ${names(params.requiredProperties)}`);
    case 'boolean': {
      if (!schemaPath.endsWith('/additionalProperties')) return say('not allowed here');
      const key = instancePath.slice(instancePath.lastIndexOf('/') + 1);
      return say(unknownKey(unescaped(key), schemaAt(schema, parentOf(schemaPath))), parentOf(instancePath));
    }
    case 'unevaluatedProperties':
      return (params.unevaluatedProperties as string[]).flatMap((key) =>
        say(unknownKey(key, schemaAt(schema, schemaPath))),
      );
    case 'propertyNames':
      return say(`keys that are not allowed: ${names(params.propertyNames)}`);
    case 'const':
    case 'enum':
      return say(expected(allowedBy(error), [], valueAt(value, instancePath)));
    default:
      return say(`${clip(message)}, got ${shortly(valueAt(value, instancePath))}`);
  }
}

const parentOf = (pointer: string): string => pointer.slice(0, pointer.lastIndexOf('/'));

function unknownKey(key: string, schema: unknown): string {
  const { properties } = (schema ?? {}) as JsonSchema;
  return `unknown ${clip(key)}${didYouMean(key, Object.keys(properties ?? {}))}`;
}

function expected(allowed: readonly unknown[], types: readonly string[], got: unknown): string {
  const all = [...new Set([...allowed.map((one) => JSON.stringify(one)), ...types])];
  const close = typeof got === 'string' && all.length > 1 ? nearest(got, allowed.map(String)) : undefined;
  const meant = JSON.stringify(allowed.find((one) => String(one) === close));
  const hint = close === undefined ? '' : `; did you mean ${meant}?`;
  return `expected ${all.length > 1 ? 'one of ' : ''}${clip(all.join(', '))}, got ${shortly(got)}${hint}`;
}

const allowedBy = ({ keyword, params }: SchemaError): unknown[] => {
  if (keyword === 'const') return [params.allowedValue];
  return keyword === 'enum' ? (params.allowedValues as unknown[]) : [];
};

const typesIn = ({ keyword, params }: SchemaError): string[] =>
  keyword === 'type' ? [params.type as string | string[]].flat() : [];

const names = (list: unknown): string => clip((list as string[]).join(', '));

function shortly(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  // JSON has no infinity, but texts of numbers too large are read as one.
  if (typeof value === 'number') return String(value);
  return clip(JSON.stringify(value) ?? `a ${typeof value}`, 60);
}

/** Keys and values may come from a model, and be of any length. */
const clip = (text: string, max = 200): string => (text.length > max ? `${text.slice(0, max)}…` : text);
