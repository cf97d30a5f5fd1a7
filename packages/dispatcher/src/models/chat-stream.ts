import type OpenAI from 'openai';
import { CutResponse } from './chat-failure.ts';

type Chunk = OpenAI.Chat.ChatCompletionChunk;

/** A call as a server sent it, or joined from its parts. Compatible servers leave out much, so nothing is certain. */
export interface WireCall {
  id?: string | null;
  function?: { name?: string | null; arguments?: unknown };
  [field: string]: unknown;
}

/** A whole response, joined from its stream or taken as it came. */
export interface ChatResponse {
  id?: string;
  model?: string;
  finishReason: string;
  message: Record<string, unknown> & { tool_calls?: WireCall[] | null; function_call?: WireCall['function'] | null };
  usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: { cached_tokens?: number } | null;
  } | null;
}

type Delta = ChatResponse['message'] & { tool_calls?: CallPart[] | null };
type CallPart = WireCall & { index?: number };

/** A call of which more parts may come. */
interface OpenCall {
  index: number;
  call: { id: string; type: 'function'; function: { name: string; arguments: string }; [field: string]: unknown };
}

/** Joins the chunks of a stream, and tells its text as it comes. @throws CutResponse if it ends before the model said why it stopped */
export async function joinStream(
  chunks: AsyncIterable<Chunk>,
  onText: (text: string) => void = () => {},
): Promise<ChatResponse> {
  const message: ChatResponse['message'] = { role: 'assistant', content: null };
  const calls: OpenCall[] = [];
  const response: Partial<ChatResponse> = {};
  for await (const { id, model, usage, choices } of chunks) {
    if (id) response.id ??= id;
    if (model) response.model ??= model;
    if (usage) response.usage = usage;
    const [choice] = choices ?? [];
    if (!choice) continue;
    const delta = (choice.delta ?? {}) as Delta;
    joinDelta(delta, message, calls);
    if (typeof delta.content === 'string' && delta.content !== '') onText(delta.content);
    if (choice.finish_reason) response.finishReason = choice.finish_reason;
  }
  const { finishReason } = response;
  if (finishReason === undefined) throw new CutResponse('the stream ended before the response was complete');
  if (calls.length > 0) message.tool_calls = calls.toSorted((a, b) => a.index - b.index).map(({ call }) => call);
  return { ...response, finishReason, message };
}

/** Texts are joined, whatever they are called: compatible servers send `reasoning_content` and the like beside content. */
function joinDelta(delta: Delta, message: ChatResponse['message'], calls: OpenCall[]): void {
  const { tool_calls: parts, function_call: legacy, role: _role, ...texts } = delta;
  for (const [field, text] of Object.entries(texts)) {
    if (typeof text === 'string') message[field] = `${(message[field] as string | null | undefined) ?? ''}${text}`;
  }
  for (const part of parts ?? []) joinPart(part, calls);
  if (legacy) {
    const { name, arguments: text = '' } = message.function_call ?? {};
    message.function_call = {
      name: name || legacy.name || '',
      arguments: `${text as string}${argumentsText(legacy.arguments)}`,
    };
  }
}

/** Fields beside the call are kept: Gemini wants its `extra_content` back. */
function joinPart(part: CallPart, calls: OpenCall[]): void {
  const { index = calls.length, id, type: _type, function: fn, ...extra } = part;
  let open = continuedBy(part, calls);
  if (!open) calls.push((open = { index, call: { id: '', type: 'function', function: { name: '', arguments: '' } } }));
  const { call } = open;
  Object.assign(call, extra);
  call.id ||= id ?? '';
  call.function.name ||= fn?.name ?? '';
  call.function.arguments += argumentsText(fn?.arguments);
}

/**
 * The call that a part goes on with, undefined if it begins one. Parts belong together by index, but Gemini gives every
 * call the same, and others give none: then a name with a new id, or a second name, begins a call.
 */
function continuedBy({ index, id, function: fn }: CallPart, calls: readonly OpenCall[]): OpenCall | undefined {
  const last = calls.findLast((open) => index === undefined || open.index === index);
  const isSecondName = Boolean(fn?.name && last?.call.function.name);
  if (index !== undefined) return isSecondName && id && id !== last?.call.id ? undefined : last;
  const same = id ? calls.find(({ call }) => call.id === id) : undefined;
  return same ?? (isSecondName ? undefined : last);
}

/** Arguments stay the text they came as; the few servers that send them parsed get them written out. */
export function argumentsText(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined || value === null ? '' : JSON.stringify(value);
}
