import type { Outcome } from '@callyard/shared/call';
import type { AssistantMessage, LegacyFunctionMessage, ToolMessage } from './model.ts';

/** The message that answers a call: the value as text, or the error as JSON. */
export function toolMessage(outcome: Outcome): ToolMessage {
  return { role: 'tool', tool_call_id: outcome.call.id, name: outcome.call.name, content: contentOf(outcome) };
}

/** The messages that answer a response, in the order of its calls and in its own form. */
export function answers(
  message: AssistantMessage,
  outcomes: readonly Outcome[],
): (ToolMessage | LegacyFunctionMessage)[] {
  if (message.tool_calls && message.tool_calls.length > 0) return outcomes.map(toolMessage);
  return outcomes.map((outcome) => ({ role: 'function', name: outcome.call.name, content: contentOf(outcome) }));
}

function contentOf({ value, error }: Outcome): string {
  if (error) {
    const { code, message, suggestion, details } = error;
    return JSON.stringify({ error: { code, message, suggestion, details } });
  }
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}
