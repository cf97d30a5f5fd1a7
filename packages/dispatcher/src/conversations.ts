import type { ConversationStates, StateValue, StateWritten, VersionedState } from '@callyard/shared/conversation-state';

/** Conversations, each of which belongs to its owner: another one's with the same id is another one. */
export interface Conversations {
  /** What tools and the choice of tools share. Version 0, and nothing in it, where none was written. */
  state(id: string, options: { owner: string }): Promise<VersionedState>;
  /** Writes only where the state still has `expectedVersion`; else resolves with `ok: false` and how it stands. */
  setState(id: string, value: StateValue, options: { owner: string; expectedVersion: number }): Promise<StateWritten>;
}

export const createConversations = ({ states }: { states: ConversationStates }): Conversations => ({
  state: (id, { owner }) => states.read(owner, id),
  setState: (id, value, { owner, expectedVersion }) => states.write(owner, id, value, expectedVersion),
});
