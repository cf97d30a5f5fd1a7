import { ModelError, type AssistantMessage, type Model, type ModelRequest } from '../model.ts';
import { toolCallsOf } from '../read-calls.ts';

/** What a scripted model says next: its lines in order, or whatever a function makes of the request. */
export type Script =
  | readonly AssistantMessage[]
  | ((request: ModelRequest) => AssistantMessage | Promise<AssistantMessage>);

export interface ScriptedModel extends Model {
  /** what a list of lines was asked, in order; a function sees its requests itself, and none is kept */
  readonly requests: readonly ModelRequest[];
  /** resolves when it has been asked for the nth time, from 0 */
  asked(nth: number): Promise<ModelRequest>;
}

/** A model without a model: for demos, replays and tests. It reports no tokens. */
export function scriptedModel(script: Script, { name = 'scripted' }: { name?: string } = {}): ScriptedModel {
  const requests: ModelRequest[] = [];
  const waiting = new Map<number, (request: ModelRequest) => void>();
  const say = typeof script === 'function' ? script : line(script, requests);
  return {
    name,
    provider: 'scripted',
    requests,
    asked: (nth) =>
      new Promise((resolve) => {
        const request = requests[nth];
        if (request) resolve(request);
        else waiting.set(nth, resolve);
      }),
    async ask(request) {
      request.signal.throwIfAborted();
      if (typeof script !== 'function') requests.push(request);
      waiting.get(requests.length - 1)?.(request);
      const message = await say(request);
      const stop = toolCallsOf(message).length > 0 ? 'calls' : 'answer';
      return { message, stop, usage: { inputTokens: 0, outputTokens: 0 }, model: name };
    },
  };
}

function line(lines: readonly AssistantMessage[], requests: readonly ModelRequest[]) {
  return (): AssistantMessage => {
    const next = lines[requests.length - 1];
    if (next) return next;
    throw new ModelError(`the script is over: asked for line ${requests.length} of ${lines.length}`);
  };
}
