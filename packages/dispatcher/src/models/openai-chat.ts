import OpenAI from 'openai';
import type { AssistantMessage, Model, ModelRequest, ModelResponse, Usage } from '../model.ts';
import { toolCallsOf } from '../read-calls.ts';
import { CutResponse, readFailure } from './chat-failure.ts';
import { joinStream, type ChatResponse } from './chat-stream.ts';
import { fromChatMessage, toChatRequest } from './chat-wire.ts';
import { askWithRetry } from './model-retry.ts';
import { toolNames, type ToolNames } from './tool-names.ts';

export interface OpenaiChatOptions {
  model: string;
  apiKey: string;
  /** any server that speaks Chat Completions; default OpenAI's own */
  baseURL?: string;
  /** default true: a stream that was cut is noticed, a connection is never silent for long */
  stream?: boolean;
  /** of one attempt, until its response is complete; default 120,000 */
  timeoutMs?: number;
  /** default 4 */
  maxAttempts?: number;
  /** a longer `Retry-After` ends the run; default 60,000 */
  maxRetryAfterMs?: number;
  /** further fields of the request, such as `temperature`; sent as they are */
  body?: Record<string, unknown>;
}

type Params = Pick<OpenAI.Chat.ChatCompletionCreateParams, 'model' | 'messages'>;

/** A model behind Chat Completions, by the official SDK. */
export function openaiChat(options: OpenaiChatOptions): Model {
  const { model, apiKey, baseURL, stream = true, body = {} } = options;
  const { timeoutMs = 120_000, maxAttempts = 4, maxRetryAfterMs = 60_000 } = options;
  // The SDK would retry on its own and ignore a Retry-After of more than a minute; and it logs to the console.
  const settings = { apiKey, maxRetries: 0, timeout: timeoutMs, logLevel: 'off' } as const;
  const client = new OpenAI(baseURL ? { ...settings, baseURL } : settings);
  const send = stream ? askStreamed : askWhole;
  return {
    name: model,
    provider: 'openai',
    ask(request) {
      const { signal } = request;
      const names = toolNames(namesIn(request));
      const params = { ...body, model, ...toChatRequest(request, names) };
      const answer = tellingOf(request);
      const ask = async () => {
        answer.begin();
        const response = await within(timeoutMs, signal, (bounded) => send(client, params, bounded, answer.tell));
        return toModelResponse(response, names);
      };
      const read = (error: unknown) => readFailure(error, { model, apiKey });
      return askWithRetry(ask, { maxAttempts, maxRetryAfterMs, signal, read });
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

/** Tells the text of each attempt; one that follows an attempt of which text was told says so. */
function tellingOf({ onDelta }: ModelRequest): { begin(): void; tell(text: string): void } {
  let hasTold = false;
  return {
    begin() {
      if (hasTold) onDelta?.({ restart: true });
      hasTold = false;
    },
    tell(text) {
      hasTold = true;
      onDelta?.({ text });
    },
  };
}

/** Bounds the whole response: the SDK's own timeout ends where the headers have come. */
async function within<T>(ms: number, signal: AbortSignal, send: (bounded: AbortSignal) => Promise<T>): Promise<T> {
  const timeout = AbortSignal.timeout(ms);
  try {
    return await send(AbortSignal.any([signal, timeout]));
  } catch (error) {
    throw timeout.aborted ? new CutResponse(`no complete response within ${ms} ms`) : error;
  }
}

type Ask = (client: OpenAI, params: Params, signal: AbortSignal, tell: (text: string) => void) => Promise<ChatResponse>;

const askStreamed: Ask = async (client, params, signal, tell) => {
  const withUsage = { stream_options: { include_usage: true }, ...params };
  return joinStream(await client.chat.completions.create({ ...withUsage, stream: true }, { signal }), tell);
};

const askWhole: Ask = async (client, params, signal, tell) => {
  const { choices, ...response } = await client.chat.completions.create({ ...params, stream: false }, { signal });
  const [choice] = choices ?? [];
  if (!choice?.finish_reason) throw new CutResponse('the response holds no complete choice');
  const { content } = choice.message;
  if (typeof content === 'string' && content !== '') tell(content);
  return {
    ...response,
    finishReason: choice.finish_reason,
    message: choice.message as unknown as ChatResponse['message'],
  };
};

function toModelResponse({ id, model, finishReason, message, usage }: ChatResponse, names: ToolNames): ModelResponse {
  const named = fromChatMessage(message, names);
  return {
    message: named,
    stop: stopOf(finishReason, named),
    usage: usageOf(usage),
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { model }),
  };
}

function usageOf(usage: ChatResponse['usage']): Usage {
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  return {
    inputTokens: usage?.prompt_tokens ?? 0,
    ...(cached === undefined ? {} : { cachedInputTokens: cached }),
    outputTokens: usage?.completion_tokens ?? 0,
  };
}

/** Some servers say `stop` although they propose calls, so only an incomplete response overrides what it holds. */
function stopOf(finishReason: string, message: AssistantMessage): ModelResponse['stop'] {
  switch (finishReason) {
    case 'length':
    case 'model_length': // Mistral: the context was full, not the answer too long
      return 'length';
    case 'content_filter':
      return 'filtered';
    case 'error': // OpenRouter, Mistral
    case 'insufficient_system_resource': // DeepSeek
      throw new CutResponse(`the model broke off with "${finishReason}"`);
    default:
      return toolCallsOf(message).length > 0 ? 'calls' : 'answer';
  }
}
