import type OpenAI from 'openai';

type Chunk = OpenAI.Chat.ChatCompletionChunk;
type Delta = OpenAI.Chat.ChatCompletionChunk.Choice.Delta;
type DeltaCall = OpenAI.Chat.ChatCompletionChunk.Choice.Delta.ToolCall;

/** A whole response, joined from its stream or taken as it came. */
export interface ChatResponse {
  id: string | undefined;
  model: string | undefined;
  finishReason: string;
  message: Record<string, unknown> & { tool_calls?: JoinedCall[] };
  usage: { prompt_tokens?: number; completion_tokens?: number } | undefined;
}

interface JoinedCall {
  id: string;
  type: 'function';
  function: { name: string; arguments: string };
}

/** The stream ended before the model said why it stopped: whatever came is not used. */
export class CutStream extends Error {
  override name = 'CutStream';
}

/** Joins the chunks of a stream. @throws CutStream */
export async function joinStream(chunks: AsyncIterable<Chunk>): Promise<ChatResponse> {
  const message: Record<string, unknown> = { role: 'assistant', content: null };
  const calls: JoinedCall[] = [];
  const response: Partial<ChatResponse> = {};
  for await (const { id, model, usage, choices } of chunks) {
    if (id) response.id ??= id;
    if (model) response.model ??= model;
    if (usage) response.usage = usage;
    const [choice] = choices ?? [];
    if (!choice) continue;
    joinDelta(choice.delta, message, calls);
    if (choice.finish_reason) response.finishReason = choice.finish_reason;
  }
  if (response.finishReason === undefined) throw new CutStream('the stream was cut before the response was complete');
  if (calls.length > 0) message.tool_calls = calls.filter(Boolean);
  return { id: undefined, model: undefined, usage: undefined, ...response, message } as ChatResponse;
}

/** Texts are joined, whatever they are called: compatible servers send `reasoning_content` and the like beside content. */
function joinDelta(delta: Delta, message: Record<string, unknown>, calls: JoinedCall[]): void {
  const { tool_calls: parts, function_call: legacy, role: _role, ...texts } = delta;
  for (const [field, text] of Object.entries(texts)) {
    if (typeof text === 'string') message[field] = `${(message[field] as string | null | undefined) ?? ''}${text}`;
  }
  for (const part of parts ?? []) joinCall(part, calls);
  if (legacy) {
    const { name = '', arguments: text = '' } = (message.function_call ?? {}) as { name?: string; arguments?: string };
    message.function_call = { name: legacy.name || name, arguments: text + (legacy.arguments ?? '') };
  }
}

/** Parts belong together by index. Some servers send none: then a new id begins a new call. */
function joinCall(part: DeltaCall, calls: JoinedCall[]): void {
  const { index = indexWithout(part, calls), id, function: fn } = part as Partial<DeltaCall> & { id?: string };
  const call = (calls[index] ??= { id: '', type: 'function', function: { name: '', arguments: '' } });
  if (id) call.id = id;
  if (fn?.name) call.function.name = fn.name;
  call.function.arguments += fn?.arguments ?? '';
}

function indexWithout({ id }: DeltaCall, calls: readonly JoinedCall[]): number {
  const known = calls.findIndex((call) => call.id === id);
  if (known !== -1) return known;
  return id ? calls.length : Math.max(0, calls.length - 1);
}
