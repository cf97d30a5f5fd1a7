import { CallError } from './failure.ts';
import { nearest } from './nearest.ts';
import { compileSchema, type JsonSchema, type SchemaError } from './schema.ts';
import { schemaAt, valueAt } from './schema-ref.ts';
import { withoutNulls } from './strict-nulls.ts';
import type { Manifest } from './tool.ts';

/** Deeper arguments are refused before anything recursive meets them. */
const maxDepth = 100;
const maxProblems = 5;
/** Characters of a problem or of its pointer: keys come from the model and may be of any length. */
const maxShown = 300;

/**
 * Reads the text a model wrote. Nothing at all counts as no arguments.
 * @throws CallError `malformed_arguments`, or `invalid_arguments` for keys that poison objects
 */
export function parseArguments(text: string, { maxBytes }: { maxBytes: number }): unknown {
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes) throw malformed(`The arguments have ${bytes} bytes; at most ${maxBytes} are taken.`);
  if (text.trim() === '') return {};
  if (depthOf(text) > maxDepth) throw malformed(`The arguments are nested deeper than ${maxDepth}.`);
  try {
    // A reviver makes parsing five times slower; only a text that could hold the key, escaped or not, needs it.
    return JSON.parse(text, /__proto__|\\u/.test(text) ? refusePoison : undefined);
  } catch (error) {
    if (error instanceof CallError) throw error;
    const where = error instanceof Error ? error.message.slice(0, 200) : '';
    throw malformed(`The arguments are not valid JSON: ${where}. Send one JSON object.`);
  }
}

const malformed = (message: string) => new CallError('malformed_arguments', message);

/** How deep brackets nest outside of strings, counted before a parser could run out of stack. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (inString) {
      if (char === '\\') i++;
      else if (char === '"') inString = false;
    } else if (char === '"') inString = true;
    else if (char === '{' || char === '[') deepest = Math.max(deepest, ++depth);
    else if (char === '}' || char === ']') depth--;
  }
  return deepest;
}

function refusePoison(key: string, value: unknown): unknown {
  if (key !== '__proto__') return value;
  throw new CallError('invalid_arguments', 'The key "__proto__" is not allowed in arguments.');
}

/**
 * Checks arguments against the schema of the tool. A `null` for an absent optional is taken, since strict modes of
 * providers make models write one.
 * @throws CallError `invalid_arguments`, with what to mend
 */
export function validateArguments({ name, parameters }: Pick<Manifest, 'name' | 'parameters'>, args: unknown): unknown {
  const schema = compileSchema(parameters);
  try {
    if (schema.check(args)) return args;
    const relaxed = withoutNulls(args, parameters);
    if (relaxed !== args && schema.check(relaxed)) return relaxed;
    throw invalid(name, schema.errors(relaxed), relaxed, parameters);
  } catch (error) {
    if (error instanceof RangeError) throw new CallError('invalid_arguments', 'The arguments are nested too deeply.');
    throw error;
  }
}

interface Problem {
  /** JSON Pointer into the arguments */
  pointer: string;
  problem: string;
}

function invalid(tool: string, errors: readonly SchemaError[], args: unknown, parameters: JsonSchema): CallError {
  const problems = distinct(
    errors
      .filter((error) => !sumsUp(error, errors))
      .map((error) => problemOf(error, args, parameters))
      .map(({ pointer, problem }) => ({ pointer: pointer.slice(0, maxShown), problem: problem.slice(0, maxShown) })),
  ).slice(0, maxProblems);
  const shown = problems.map(({ pointer, problem }) => `${pointer || '/'}: ${problem}`).join('; ');
  return new CallError('invalid_arguments', `The arguments do not match the schema of ${tool}: ${shown}.`, {
    suggestion: 'Send the call again with these mended.',
    details: { problems },
  });
}

/** Whether an error only repeats others: those of the branches of a union, or of the keys that are too many. */
const sumsUp = ({ keyword, instancePath }: SchemaError, errors: readonly SchemaError[]): boolean =>
  keyword === 'additionalProperties' ||
  (['anyOf', 'oneOf'].includes(keyword) &&
    errors.some((other) => !['anyOf', 'oneOf'].includes(other.keyword) && isWithin(other.instancePath, instancePath)));

const isWithin = (path: string, outer: string): boolean => path === outer || path.startsWith(`${outer}/`);

const distinct = (problems: readonly Problem[]): Problem[] => [
  ...new Map(problems.map((one) => [`${one.pointer} ${one.problem}`, one])).values(),
];

function problemOf(error: SchemaError, args: unknown, parameters: JsonSchema): Problem {
  const { keyword, params, schemaPath, instancePath: pointer, message } = error;
  const value = valueAt(args, pointer);
  if (keyword === 'boolean' && schemaPath.endsWith('/additionalProperties')) return unknownKey(error, parameters);
  if (keyword === 'required')
    return { pointer, problem: `missing ${(params.requiredProperties as string[]).join(', ')}` };
  if (keyword === 'enum') return { pointer, problem: notAmong(params.allowedValues as unknown[], value) };
  if (keyword === 'const') return { pointer, problem: notAmong(constantsBeside(error, parameters), value) };
  return { pointer, problem: `${message}, got ${shortly(value)}` };
}

/** Reported at the object that holds the key. */
function unknownKey({ schemaPath, instancePath }: SchemaError, parameters: JsonSchema): Problem {
  const at = instancePath.lastIndexOf('/');
  const key = instancePath
    .slice(at + 1)
    .replaceAll('~1', '/')
    .replaceAll('~0', '~');
  const { properties = {} } = schemaAt(parameters, parentOf(schemaPath)) as JsonSchema;
  const close = nearest(key, Object.keys(properties as object));
  const meant = close === undefined ? '' : `; did you mean ${close}?`;
  return { pointer: instancePath.slice(0, at), problem: `unknown ${key}${meant}` };
}

/** What a constant says together with the other constants of its union, which is how TypeBox writes an enum. */
function constantsBeside({ schemaPath, params }: SchemaError, parameters: JsonSchema): unknown[] {
  const union = /\/(anyOf|oneOf)\/\d+$/.test(schemaPath) ? schemaAt(parameters, parentOf(schemaPath)) : undefined;
  if (!Array.isArray(union)) return [params.allowedValue];
  return union.flatMap((branch: JsonSchema) => (branch.const === undefined ? [] : [branch.const]));
}

const parentOf = (pointer: string): string => pointer.slice(0, pointer.lastIndexOf('/'));

function notAmong(allowed: readonly unknown[], value: unknown): string {
  const list = allowed
    .map((one) => JSON.stringify(one))
    .join(', ')
    .slice(0, maxShown / 2);
  const close = typeof value === 'string' ? nearest(value, allowed.map(String)) : undefined;
  const meant =
    close === undefined ? '' : `; did you mean ${JSON.stringify(allowed.find((one) => String(one) === close))}?`;
  return `expected ${allowed.length === 1 ? '' : 'one of '}${list}, got ${shortly(value)}${meant}`;
}

function shortly(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return (JSON.stringify(value) ?? 'nothing').slice(0, 60);
}
