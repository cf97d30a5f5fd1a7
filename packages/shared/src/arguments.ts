import { CallError } from './failure.ts';
import { nearest } from './nearest.ts';
import { compileSchema, type JsonSchema, type SchemaError } from './schema.ts';
import { withoutNulls } from './strict-nulls.ts';
import type { Manifest } from './tool.ts';

/** Deeper arguments are refused before anything recursive meets them. */
const maxDepth = 100;
const maxProblems = 5;

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

function invalid(tool: string, errors: readonly SchemaError[], args: unknown, parameters: JsonSchema): CallError {
  const known = Object.keys((parameters.properties as JsonSchema | undefined) ?? {});
  const problems = errors
    // An extra key is reported twice: as a `false` schema and by the object that does not allow it.
    .filter(({ keyword }) => keyword !== 'boolean')
    .slice(0, maxProblems)
    .map((error) => ({ pointer: error.instancePath, problem: problemOf(error, args, known) }));
  const shown = problems.map(({ pointer, problem }) => `${pointer || '/'}: ${problem}`).join('; ');
  return new CallError('invalid_arguments', `The arguments do not match the schema of ${tool}: ${shown}.`, {
    suggestion: 'Send the call again with these mended.',
    details: { problems },
  });
}

function problemOf({ keyword, params, instancePath, message }: SchemaError, args: unknown, known: string[]): string {
  const value = instancePath.split('/').slice(1).reduce<unknown>(step, args);
  switch (keyword) {
    case 'required':
      return `missing ${list(params.requiredProperties)}`;
    case 'additionalProperties': {
      const [extra = ''] = params.additionalProperties as string[];
      const close = nearest(extra, known);
      return `unknown ${list(params.additionalProperties)}${close === undefined ? '' : `; did you mean ${close}?`}`;
    }
    case 'enum': {
      const allowed = params.allowedValues as unknown[];
      const close = typeof value === 'string' ? nearest(value, allowed.map(String)) : undefined;
      return `expected one of ${allowed
        .map((one) => JSON.stringify(one))
        .join(', ')
        .slice(0, 300)}, got ${shortly(value)}${close === undefined ? '' : `; did you mean ${JSON.stringify(close)}?`}`;
    }
    default:
      return `${message}, got ${shortly(value)}`;
  }
}

const step = (node: unknown, key: string): unknown =>
  typeof node === 'object' && node !== null
    ? (node as JsonSchema)[key.replaceAll('~1', '/').replaceAll('~0', '~')]
    : undefined;

const list = (names: unknown): string => (Array.isArray(names) ? names.join(', ') : String(names));

function shortly(value: unknown): string {
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'object' && value !== null) return 'an object';
  return (JSON.stringify(value) ?? 'nothing').slice(0, 60);
}
