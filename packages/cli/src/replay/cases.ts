import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Message, ToolCall } from '@callyard/dispatcher';

/** A definition as recorded: what a Chat Completions request lists. */
export interface RecordedTool {
  name: string;
  description?: string;
  parameters: Record<string, unknown>;
}

/** `{id, messages, tools, tool_calls}`: the calls that one turn proposes, with the tools they pin. */
export interface CallsCase {
  kind: 'calls';
  id: string;
  messages: Message[];
  tools: RecordedTool[];
  calls: ToolCall[];
}

/** `{id, messages}`: a whole recorded conversation, tool results included. */
export interface ConversationCase {
  kind: 'conversation';
  id: string;
  messages: Message[];
}

export type ReplayCase = CallsCase | ConversationCase;

export interface ReadCases {
  cases: ReplayCase[];
  /** lines that could not be read: numbered from 1, left out */
  problems: { line: number; problem: string }[];
}

/** Reads a JSONL file of recorded cases. A line that cannot be read is named and the rest goes on. */
export async function readCases(file: string): Promise<ReadCases> {
  const found: ReadCases = { cases: [], problems: [] };
  const lines = createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY });
  let line = 0;
  for await (const text of lines) {
    line += 1;
    if (text.trim() === '') continue;
    try {
      found.cases.push(parseCase(JSON.parse(text)));
    } catch (error) {
      found.problems.push({ line, problem: error instanceof Error ? error.message : String(error) });
    }
  }
  return found;
}

function parseCase(data: unknown): ReplayCase {
  if (typeof data !== 'object' || data === null) throw new Error('not an object');
  const { id, messages, tools, tool_calls: calls } = data as Record<string, unknown>;
  if (typeof id !== 'string' || id === '') throw new Error('no "id"');
  if (!Array.isArray(messages)) throw new Error('no "messages"');
  if (tools === undefined && calls === undefined) return { kind: 'conversation', id, messages };
  if (!Array.isArray(tools)) throw new Error('"tool_calls" without "tools"');
  if (!Array.isArray(calls)) throw new Error('"tools" without "tool_calls"');
  return { kind: 'calls', id, messages, tools: tools.map(parseTool), calls: calls.map(parseCall) };
}

function parseTool(tool: { function?: RecordedTool }): RecordedTool {
  if (typeof tool.function?.name !== 'string') throw new Error('a tool without "function.name"');
  return tool.function;
}

function parseCall(call: { name?: unknown; arguments?: unknown }, index: number): ToolCall {
  if (typeof call.name !== 'string') throw new Error(`tool_calls[${index}] has no "name"`);
  const text = typeof call.arguments === 'string' ? call.arguments : JSON.stringify(call.arguments ?? {});
  return { id: `call_${index}`, type: 'function', function: { name: call.name, arguments: text } };
}
