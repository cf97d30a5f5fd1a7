import { randomBytes } from 'node:crypto';
import { retryAfterMs } from '@callyard/shared/retry-after';
import OpenAI from 'openai';
import type { AssistantMessage, Model, ModelRequest, ModelResponse, ToolCall } from '../model.ts';
import { toolCallsOf } from '../read-calls.ts';
import { CutStream, joinStream, type ChatResponse } from './chat-stream.ts';
import { toChatRequest } from './chat-wire.ts';
import { askWithRetry, type AskFailure } from './model-retry.ts';
import { toolNames, type ToolNames } from './tool-names.ts';

export interface OpenaiChatOptions {
  model: string;
  apiKey: string;
  /** any server that speaks Chat Completions; default OpenAI's own */
  baseURL?: string;
  /** default true: a stream that was cut is noticed, a connection is never silent for long */
  stream?: boolean;
  /** of one request; default 120,000 */
  timeoutMs?: number;
  /** default 4 */
  maxAttempts?: number;
  /** a longer `Retry-After` ends the run; default 60,000 */
  maxRetryAfterMs?: number;
  /** further fields of the request, such as `temperature`; sent as they are */
  body?: Record<string, unknown>;
}

/** A model behind Chat Completions, by the official SDK. */
export function openaiChat(options: OpenaiChatOptions): Model {
  const { model, apiKey, baseURL, timeoutMs = 120_000, maxAttempts = 4, maxRetryAfterMs = 60_000 } = options;
  // The SDK would retry on its own and ignore a Retry-After of more than a minute.
  const client = new OpenAI({ apiKey, maxRetries: 0, timeout: timeoutMs, ...(baseURL ? { baseURL } : {}) });
  return {
    name: model,
    provider: 'openai',
    async ask(request) {
      const names = toolNames(namesIn(request));
      const ask = () => askOnce(client, request, names, options);
      const response = await askWithRetry(ask, {
        maxAttempts,
        maxRetryAfterMs,
        signal: request.signal,
        read: readFailure,
      });
      return toModelResponse(response, names);
    },
  };
}

/** The tools offered, and those that the history speaks of. */
function* namesIn({ tools, messages }: ModelRequest): Generator<string> {
  for (const { name } of tools) yield name;
  for (const message of messages) {
    if (message.role === 'assistant') for (const call of toolCallsOf(message)) yield call.function.name;
  }
}

async function askOnce(
  client: OpenAI,
  request: ModelRequest,
  names: ToolNames,
  { model, stream = true, body = {} }: OpenaiChatOptions,
): Promise<ChatResponse> {
  const { signal } = request;
  const params = { ...body, model, ...toChatRequest(request, names) };
  if (stream) {
    return joinStream(
      await client.chat.completions.create(
        { ...params, stream: true, stream_options: { include_usage: true } },
        { signal },
      ),
    );
  }
  const {
    id,
    model: answered,
    usage,
    choices,
  } = await client.chat.completions.create({ ...params, stream: false }, { signal });
  const [choice] = choices;
  if (!choice?.finish_reason) throw new CutStream('the response holds no complete choice');
  return {
    id,
    model: answered,
    usage,
    finishReason: choice.finish_reason,
    message: { ...choice.message } as ChatResponse['message'],
  };
}

function toModelResponse({ id, model, finishReason, message, usage }: ChatResponse, names: ToolNames): ModelResponse {
  const named = fromWire(message, names);
  return {
    message: named,
    stop: stopOf(finishReason, named),
    usage: { inputTokens: usage?.prompt_tokens ?? 0, outputTokens: usage?.completion_tokens ?? 0 },
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { model }),
  };
}

/** Some servers say `stop` although they propose calls, so only an incomplete response overrides what it holds. */
function stopOf(finishReason: string, message: AssistantMessage): ModelResponse['stop'] {
  if (finishReason === 'length') return 'length';
  if (finishReason === 'content_filter') return 'filtered';
  return toolCallsOf(message).length > 0 ? 'calls' : 'answer';
}

/** Names turned back, and an id for a call that came without one. */
function fromWire(message: ChatResponse['message'], names: ToolNames): AssistantMessage {
  const { tool_calls: calls, function_call: legacy, ...rest } = message as unknown as AssistantMessage;
  return {
    ...rest,
    role: 'assistant',
    ...(calls && calls.length > 0 ? { tool_calls: calls.map((call) => callFromWire(call, names)) } : {}),
    ...(legacy ? { function_call: { ...legacy, name: names.fromWire(legacy.name) } } : {}),
  };
}

const callFromWire = (call: ToolCall, names: ToolNames): ToolCall => ({
  ...call,
  id: call.id || `call_${randomBytes(12).toString('hex')}`,
  function: { ...call.function, name: names.fromWire(call.function.name) },
});

/** What a failed request means. A stream that is cut throws a bare `TypeError: terminated`, not an error of the SDK. */
function readFailure(error: unknown): AskFailure {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof OpenAI.APIConnectionError || error instanceof CutStream || error instanceof TypeError) {
    return { retryable: true, status: undefined, retryAfterMs: undefined, message };
  }
  if (!(error instanceof OpenAI.APIError))
    return { retryable: false, status: undefined, retryAfterMs: undefined, message };
  const status = error.status as number | undefined;
  const headers = error.headers as Headers | undefined;
  const said = headers?.get('x-should-retry');
  const byStatus = status === undefined || status === 408 || status === 409 || status === 429 || status >= 500;
  return { retryable: said ? said === 'true' : byStatus, status, retryAfterMs: retryAfterOf(headers), message };
}

/** OpenAI's own header is finer than the standard one. */
function retryAfterOf(headers: Headers | undefined): number | undefined {
  const ms = Number(headers?.get('retry-after-ms') || Number.NaN);
  return Number.isFinite(ms) ? ms : retryAfterMs(headers?.get('retry-after'));
}
