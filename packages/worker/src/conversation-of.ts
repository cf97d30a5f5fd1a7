import type { Envelope } from '@callyard/shared/call';
import type { ConversationContext } from '@callyard/shared/tool';
import type { WorkerContext } from './attempt.ts';

/** The conversation of a call, for its handler. A handler that was aborted changes nothing in it any more. */
export function conversationOf(
  { owner, conversationId: id }: Envelope,
  signal: AbortSignal,
  { states }: Pick<WorkerContext, 'states'>,
): ConversationContext | undefined {
  if (id === undefined) return undefined;
  return {
    id,
    state: () => states.read(owner, id),
    update: (change) => states.update(owner, id, change, () => signal.throwIfAborted()),
  };
}
