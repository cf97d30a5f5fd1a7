import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { onTestFinished } from 'vitest';
import { openaiChat, type OpenaiChatOptions } from '../../packages/dispatcher/src/models/openai-chat.ts';

export const apiKey = 'sk-secret-key';

/** What a request to Chat Completions holds, as far as tests look at it. */
export interface ChatBody {
  messages: Record<string, unknown>[];
  tools?: { function: { name: string; strict?: boolean; parameters: unknown } }[];
  [field: string]: unknown;
}

/** Answers the nth request, from 1. */
export type ChatAnswer = (response: ServerResponse, attempt: number, body: ChatBody) => void;

/** A Chat Completions endpoint that answers as a test says, for what a well-behaved mock does not do. */
export async function endpoint(answer: ChatAnswer) {
  const bodies: ChatBody[] = [];
  const server = createServer((request, response) => {
    void json(request).then((body) => answer(response, bodies.push(body as ChatBody), body as ChatBody));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const baseURL = `http://127.0.0.1:${port}/v1`;
  const model = (options: Partial<OpenaiChatOptions> = {}) =>
    openaiChat({ model: 'gpt-x', apiKey, baseURL, ...options });
  return { model, bodies, baseURL };
}

/** One event of a stream. */
export const chunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'r1', model: 'm-1', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

/** A whole stream that says `done`. */
export const done = [chunk({ content: 'done' }), chunk({}, 'stop')];

export function sendStream(response: ServerResponse, ...chunks: string[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(`${chunks.join('')}data: [DONE]\n\n`);
}

export function sendWhole(response: ServerResponse, message: object, finish = 'stop'): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ id: 'r1', model: 'm-1', choices: [{ index: 0, message, finish_reason: finish }] }));
}

export function sendError(
  response: ServerResponse,
  status: number,
  headers: Record<string, string> = {},
  message = `status ${status}`,
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ error: { message } }));
}
