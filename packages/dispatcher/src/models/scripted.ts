import { ModelError, type AssistantMessage, type Model, type ModelRequest } from '../model.ts';
import { orAborted } from '../or-aborted.ts';
import { toolCallsOf } from '../read-calls.ts';

type Say = (request: ModelRequest) => AssistantMessage | Promise<AssistantMessage>;

interface ScriptOptions {
  /** default `scripted` */
  name?: string;
}

/** A model that says its lines in order, and keeps what it was asked. */
export interface ScriptedModel extends Model {
  /** in the order they came */
  readonly requests: readonly ModelRequest[];
  /** resolves when it has been asked for the nth time, from 0 */
  asked(nth: number): Promise<ModelRequest>;
}

/** A model without a model: for demos, replays and tests. It reports no tokens. Past its last line: `ModelError`. */
export function scriptedModel(lines: readonly AssistantMessage[], options?: ScriptOptions): ScriptedModel;
/** The same, saying what a function makes of each request; many runs may ask it at once, and no request is kept. */
export function scriptedModel(say: Say, options?: ScriptOptions): Model;
export function scriptedModel(
  script: readonly AssistantMessage[] | Say,
  { name = 'scripted' }: ScriptOptions = {},
): Model {
  return typeof script === 'function' ? saying(script, name) : reciting(script, name);
}

function saying(say: Say, name: string): Model {
  return {
    name,
    provider: 'scripted',
    async ask(request) {
      request.signal.throwIfAborted();
      const message = await orAborted(say(request), request.signal);
      for (const text of wordsOf(message)) request.onDelta?.({ text });
      const stop = toolCallsOf(message).length > 0 ? 'calls' : 'answer';
      return { message, stop, usage: { inputTokens: 0, outputTokens: 0 }, model: name };
    },
  };
}

function reciting(lines: readonly AssistantMessage[], name: string): ScriptedModel {
  const requests: ModelRequest[] = [];
  const asks: PromiseWithResolvers<ModelRequest>[] = [];
  const ask = (nth: number) => (asks[nth] ??= Promise.withResolvers());
  const next: Say = (request) => {
    const nth = requests.push(request) - 1;
    ask(nth).resolve(request);
    const line = lines[nth];
    if (!line) throw new ModelError(`the script is over: asked for line ${nth + 1} of ${lines.length}`);
    return line;
  };
  return { ...saying(next, name), requests, asked: (nth) => ask(nth).promise };
}

/** The words of an answer, each with the space after it: a provider's deltas are about as long. */
const wordsOf = ({ content }: AssistantMessage): readonly string[] =>
  typeof content === 'string' ? (content.match(/\s*\S+\s*|\s+/g) ?? []) : [];
