import { CallError } from './failure.ts';
import { compileSchema } from './schema.ts';
import { problemsOf, type Problem } from './schema-problems.ts';
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
  const parsed = parseJson(text);
  // Looking at every key takes longer than parsing; only a text that could hold such a key, escaped or not, needs it.
  if (/__proto__|prototype|\\u/.test(text)) refusePoison(parsed, '');
  return parsed;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
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

/** Refuses keys by which a careless merge reaches what every object inherits. */
function refusePoison(value: unknown, pointer: string): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, part] of Object.entries(value)) {
    const at = `${pointer}/${key.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (key === '__proto__' || (key === 'prototype' && pointer.endsWith('/constructor'))) {
      throw invalid('The arguments have a key that is not allowed', [{ pointer: at, problem: 'not allowed as a key' }]);
    }
    refusePoison(part, at);
  }
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
    throw invalid(`The arguments do not match the schema of ${name}`, problemsOf(relaxed, parameters));
  } catch (error) {
    if (error instanceof RangeError) throw new CallError('invalid_arguments', 'The arguments are nested too deeply.');
    throw error;
  }
}

function invalid(what: string, all: readonly Problem[]): CallError {
  const problems = all.slice(0, maxProblems);
  const shown = problems.map(({ pointer, problem }) => `${pointer || '/'}: ${problem}`).join('; ');
  return new CallError('invalid_arguments', `${what}: ${shown}.`, {
    suggestion: 'Send the call again with these mended.',
    details: { problems },
  });
}

/** What the model wrote: as JSON, or the text where it is none. */
export function argumentsIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
