import type { AssistantMessage } from '@callyard/dispatcher';
import { apiKey, chunk, endpoint, sendStream, type ChatBody } from './chat-endpoint.ts';

/** What the model says next, or a promise that never settles. */
export type Line = (messages: ChatBody['messages'], nth: number) => AssistantMessage | Promise<AssistantMessage>;

/** A Chat Completions endpoint for processes of ours, with the settings that lead them to it. */
export async function modelEndpoint(line: Line) {
  const { bodies, baseURL } = await endpoint((response, nth, { messages }) => {
    void Promise.resolve(line(messages, nth)).then(({ content, tool_calls: calls = [] }) => {
      const words = typeof content === 'string' ? (content.match(/\s*\S+/g) ?? []) : [];
      const finish = calls.length > 0 ? 'tool_calls' : 'stop';
      sendStream(
        response,
        ...words.map((text) => chunk({ content: text })),
        ...calls.map((call, index) => chunk({ tool_calls: [{ index, ...call }] })),
        chunk({}, finish),
      );
    });
  });
  return { bodies, settings: { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL, CALLYARD_MODEL: 'gpt-x' } };
}

/** The messages that came after the last one of the user: none in the first turn. */
export const sinceAsked = (messages: ChatBody['messages']): ChatBody['messages'] =>
  messages.slice(messages.findLastIndex(({ role }) => role === 'user') + 1);
