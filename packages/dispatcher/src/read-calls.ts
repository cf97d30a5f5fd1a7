import { nearest } from '@callyard/shared/nearest';
import type { OutcomeError } from '@callyard/shared/call';
import type { Offer, OfferedTool } from './offer.ts';
import type { AssistantMessage, ToolCall } from './model.ts';

/** A proposed call: one that can be enqueued, or one that is answered at once. */
export type ProposedCall = { call: ToolCall } & ({ tool: OfferedTool } | { error: OutcomeError });

export interface ReadLimits {
  maxArgumentBytes: number;
  /** calls that may still run, of this turn and of the run */
  room: number;
}

/** The calls of a message in either form; the one of a legacy `function_call` has no id. */
export function toolCallsOf({ tool_calls: calls, function_call: legacy }: AssistantMessage): ToolCall[] {
  if (calls && calls.length > 0) return calls;
  return legacy ? [{ id: '', type: 'function', function: legacy }] : [];
}

/** Reads what the model proposed. Never throws: what cannot run becomes an answer the model can learn from. */
export function readCalls(calls: readonly ToolCall[], offer: Offer, limits: ReadLimits): ProposedCall[] {
  return calls.map((call, index) => {
    if (index >= limits.room) return { call, error: tooMany(limits.room) };
    const tool = offer.get(call.function.name);
    if (!tool) return { call, error: unknownTool(call.function.name, [...offer.keys()]) };
    const bytes = Buffer.byteLength(call.function.arguments);
    if (bytes > limits.maxArgumentBytes) return { call, error: tooLarge(bytes, limits.maxArgumentBytes) };
    return { call, tool };
  });
}

function unknownTool(name: string, offered: readonly string[]): OutcomeError {
  const close = nearest(name, offered);
  const shown = offered.slice(0, 20).join(', ');
  return {
    code: 'unknown_tool',
    message: `There is no tool ${JSON.stringify(name.slice(0, 128))} among those offered.`,
    suggestion: close === undefined ? `Offered are: ${shown || 'none'}.` : `Did you mean ${close}?`,
  };
}

const tooMany = (room: number): OutcomeError => ({
  code: 'quota_exceeded',
  message: `Too many calls: ${room} more may run here. This one did not run.`,
  suggestion: 'Propose fewer calls at once.',
});

const tooLarge = (bytes: number, max: number): OutcomeError => ({
  code: 'malformed_arguments',
  message: `The arguments have ${bytes} bytes; at most ${max} are taken.`,
});
