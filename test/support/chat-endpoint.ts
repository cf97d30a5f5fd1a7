import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import Type from 'typebox';
import { onTestFinished } from 'vitest';
import { defineTool } from '@callyard/shared/tool';
import type { ModelRequest } from '../../packages/dispatcher/src/model.ts';
import { openaiChat, type OpenaiChatOptions } from '../../packages/dispatcher/src/models/openai-chat.ts';

export const weather = defineTool({
  name: 'crm.weather/now',
  version: '1.0.0',
  description: 'Weather',
  parameters: Type.Object({ city: Type.String(), unit: Type.Optional(Type.String()) }),
  handler: () => 1,
}).manifest;
const open = defineTool({
  ...weather,
  name: 'open',
  parameters: { type: 'object', properties: { any: {} } },
  handler: () => 1,
}).manifest;

export const asking = (changes: Partial<ModelRequest> = {}): ModelRequest => ({
  messages: [{ role: 'user', content: 'weather in Oslo' }],
  tools: [weather, open],
  signal: new AbortController().signal,
  turn: 0,
  runId: 'r',
  conversationId: undefined,
  ...changes,
});

type Answer = (response: ServerResponse, attempt: number, body: Record<string, unknown>) => void;

/** An endpoint that answers as a test says, for what a well-behaved mock does not do. */
export async function endpoint(answer: Answer) {
  const bodies: Record<string, unknown>[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    void json(request).then((body) => {
      bodies.push(body as Record<string, unknown>);
      answer(response, bodies.length, body as Record<string, unknown>);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const model = (options: Partial<OpenaiChatOptions> = {}) =>
    openaiChat({ model: 'm', apiKey: 'sk-secret', baseURL: `http://127.0.0.1:${port}/v1`, ...options });
  return { model, bodies };
}

export const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'r1', model: 'm-1', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
export const stream = (response: ServerResponse, ...chunks: string[]) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(`${chunks.join('')}data: [DONE]\n\n`);
};
export const fail = (response: ServerResponse, status: number, headers: Record<string, string> = {}) =>
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify({ error: { message: `status ${status}` } }));
export const done = [chunk({ content: 'done' }), chunk({}, 'stop')];
