import { setTimeout as delay } from 'node:timers/promises';
import {
  scriptedModel,
  type AssistantMessage,
  type Model,
  type ModelRequest,
  type ToolCall,
} from '@callyard/dispatcher';

const thinkMs = 30;

const call = (id: string, name: string, args: unknown): ToolCall => ({
  id,
  type: 'function',
  function: { name, arguments: JSON.stringify(args) },
});

/** Asks three tools at once, and answers when it has heard them. */
function say({ turn, messages, runId }: ModelRequest): AssistantMessage {
  if (turn > 0) return { role: 'assistant', content: `That is all: ${messages.length} messages.` };
  return {
    role: 'assistant',
    content: null,
    tool_calls: [
      call('call_1', 'calculate', { expression: `${messages.length} * 129.5` }),
      call('call_2', 'time_in_zone', { zone: 'Europe/Oslo' }),
      call('call_3', 'count_text', { text: `a run is ${runId}` }),
    ],
  };
}

const script = scriptedModel(say);

/** Thinks a little, and reports tokens as if it were one. */
export const scripted: Model = {
  ...script,
  async ask(request) {
    await delay(thinkMs, undefined, { signal: request.signal });
    const answer = await script.ask(request);
    const tokensOf = (value: unknown) => Math.ceil(JSON.stringify(value).length / 4);
    return { ...answer, usage: { inputTokens: tokensOf(request.messages), outputTokens: tokensOf(answer.message) } };
  },
};
