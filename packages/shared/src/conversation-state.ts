import { randomUUID } from 'node:crypto';
import type { Names } from './names.ts';
import { loadScript, type Redis } from './redis.ts';

/** JSON, an object. */
export type StateValue = Readonly<Record<string, unknown>>;

/** A state and the count of its writes; version 0, and nothing in it, before the first. */
export interface VersionedState {
  version: number;
  value: StateValue;
}

export type StateWritten = { ok: true; version: number } | { ok: false; current: VersionedState };

/** An object for each conversation, which belongs to its owner; it is written by whoever has read it last. */
export interface ConversationStates {
  read(owner: string, id: string): Promise<VersionedState>;
  /**
   * Writes only where the state still has that version. Keeps the conversation for another `conversationTtlMs`.
   * Rejects with a `TypeError` what is no JSON object of at most 64 KiB.
   */
  write(owner: string, id: string, value: StateValue, expectedVersion: number): Promise<StateWritten>;
  /**
   * Changes the state whatever others write meanwhile: `change` is called again with what they wrote, so it only
   * computes. `guard` is called before each write, to throw where there is to be none.
   */
  update(owner: string, id: string, change: StateChange, guard?: () => void): Promise<StateValue>;
}

export type StateChange = (value: StateValue) => StateValue | Promise<StateValue>;

const maxStateBytes = 65_536;
/** Of those who write at once one gets through each time, and a turn has at most some dozens of calls. */
const maxTries = 100;

const writeScript = loadScript('./state-write-1.lua', import.meta.url);

export function createConversationStates(redis: Redis, names: Names, ttlMs: number): ConversationStates {
  const read: ConversationStates['read'] = async (owner, id) => {
    const [version, text] = await redis.hmget(names.conversation(owner, id), 'stateVersion', 'state');
    return stateOf(Number(version ?? 0), text);
  };
  const write: ConversationStates['write'] = async (owner, id, value, expectedVersion) => {
    const args = [expectedVersion, textOf(value), randomUUID(), ttlMs];
    const answer = await writeScript(redis, [names.conversation(owner, id)], args);
    const [isWritten, version, text] = answer as [0 | 1, number, string | null | undefined];
    return isWritten ? { ok: true, version } : { ok: false, current: stateOf(version, text) };
  };
  return {
    read,
    write,
    async update(owner, id, change, guard) {
      let current = await read(owner, id);
      for (let tries = 0; tries < maxTries; tries += 1) {
        const value = await change(current.value);
        guard?.();
        const written = await write(owner, id, value, current.version);
        if (written.ok) return value;
        current = written.current;
      }
      throw new Error(`the state of the conversation was written ${maxTries} times by others`);
    },
  };
}

const stateOf = (version: number, text: string | null | undefined): VersionedState => ({
  version,
  value: text ? (JSON.parse(text) as StateValue) : {},
});

function textOf(value: unknown): string {
  const text = (JSON.stringify(value) as string | undefined) ?? '';
  if (!text.startsWith('{')) throw new TypeError('the state of a conversation is a JSON object');
  const bytes = Buffer.byteLength(text);
  if (bytes > maxStateBytes)
    throw new TypeError(`the state of a conversation takes ${bytes} bytes; at most ${maxStateBytes} are kept`);
  return text;
}
