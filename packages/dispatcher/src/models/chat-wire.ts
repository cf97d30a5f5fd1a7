import { randomBytes } from 'node:crypto';
import type OpenAI from 'openai';
import type { AssistantMessage, Message, ModelRequest, ToolCall } from '../model.ts';
import { argumentsText, type ChatResponse, type WireCall } from './chat-stream.ts';
import { toStrict } from './strict.ts';
import type { ToolNames } from './tool-names.ts';

type Body = OpenAI.Chat.ChatCompletionCreateParams;

/** The part of a Chat Completions request that says what to do: messages, tools and their choice. */
export function toChatRequest(request: ModelRequest, names: ToolNames): Pick<Body, 'messages'> & Partial<Body> {
  const { messages, tools, toolChoice, parallel } = request;
  return {
    messages: messages.map((message) => toWire(message, names)) as Body['messages'],
    ...(tools.length === 0
      ? {}
      : {
          tools: tools.map((tool) => toChatTool(tool, names)),
          ...(toolChoice === undefined ? {} : { tool_choice: toChatChoice(toolChoice, names) }),
          ...(parallel === undefined ? {} : { parallel_tool_calls: parallel }),
        }),
  };
}

/** A tool as Chat Completions lists it. `strict` is always said: what is assumed without it differs between endpoints. */
export function toChatTool(
  tool: ModelRequest['tools'][number],
  names: ToolNames,
): OpenAI.Chat.ChatCompletionFunctionTool {
  const strict = toStrict(tool.parameters);
  return {
    type: 'function',
    function: {
      name: names.toWire(tool.name),
      description: tool.description,
      parameters: strict ?? tool.parameters,
      strict: strict !== undefined,
    },
  };
}

function toChatChoice(
  choice: NonNullable<ModelRequest['toolChoice']>,
  names: ToolNames,
): OpenAI.Chat.ChatCompletionToolChoiceOption {
  return typeof choice === 'string' ? choice : { type: 'function', function: { name: names.toWire(choice.name) } };
}

/** A message with the names of tools as the provider knows them. */
function toWire(message: Message, names: ToolNames): unknown {
  switch (message.role) {
    case 'assistant': {
      const { tool_calls: calls, function_call: legacy, ...rest } = message;
      return {
        ...rest,
        ...(calls && calls.length > 0
          ? {
              tool_calls: calls.map((call) => ({
                ...call,
                function: { ...call.function, name: names.toWire(call.function.name) },
              })),
            }
          : {}),
        ...(legacy ? { function_call: { ...legacy, name: names.toWire(legacy.name) } } : {}),
      };
    }
    case 'tool': {
      const { name: _ours, ...rest } = message; // Chat Completions finds the call by its id
      return rest;
    }
    case 'function':
      return { ...message, name: names.toWire(message.name) };
    default:
      return message;
  }
}

/** A message as it came, with the tools' own names, and an id for a call that has none. */
export function fromChatMessage(message: ChatResponse['message'], names: ToolNames): AssistantMessage {
  const { tool_calls: calls, function_call: legacy, ...rest } = message;
  return {
    ...rest,
    role: 'assistant',
    ...(calls && calls.length > 0 ? { tool_calls: calls.map((call) => fromWireCall(call, names)) } : {}),
    ...(legacy ? { function_call: fromWireFunction(legacy, names) } : {}),
  };
}

const fromWireCall = (call: WireCall, names: ToolNames): ToolCall => ({
  ...call,
  id: call.id || `call_${randomBytes(12).toString('hex')}`,
  type: 'function',
  function: fromWireFunction(call.function, names),
});

const fromWireFunction = (fn: WireCall['function'], names: ToolNames): ToolCall['function'] => ({
  ...fn,
  name: names.fromWire(fn?.name ?? ''),
  arguments: argumentsText(fn?.arguments),
});
