import type { Redis } from 'ioredis';
import { scriptedModel, type AssistantMessage, type Message, type Model } from '@callyard/dispatcher';
import { callKey } from '@callyard/shared/call';
import type { Names } from '@callyard/shared/names';

/** What the model says in a turn; `hangs` times it says nothing, until it is aborted. */
export interface Line extends AssistantMessage {
  hangs?: number;
}

/** A message of the user that tells the model what to say, turn by turn, whichever dispatcher asks it. */
export const play = (...lines: Line[]): Message[] => [{ role: 'user', content: JSON.stringify(lines) }];

/** A model that does as the last message of the user says, and writes to Redis how often it is asked. */
export function playedModel(redis: Redis, { tag }: Names, name = 'played'): Model {
  const say = async (messages: readonly Message[], turn: number, runId: string, signal: AbortSignal) => {
    const script = messages.findLast(({ role }) => role === 'user')?.content;
    const { hangs = 0, ...line } = (JSON.parse(script as string) as Line[])[turn] ?? {
      role: 'assistant',
      content: 'No more.',
    };
    const asks = await redis.hincrby(`${tag}:asks`, `${runId} ${turn}`, 1);
    await redis.publish(`${tag}:asked`, callKey({ runId, turn, index: asks }));
    if (asks > hangs) return line;
    await until(signal);
    await redis.rpush(`${tag}:unanswered`, `${runId} ${turn}`);
    throw signal.reason;
  };
  return scriptedModel(({ messages, turn, runId, signal }) => say(messages, turn, runId, signal), { name });
}

/** Resolves when it is aborted. */
function until(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  signal.addEventListener('abort', () => resolve(), { once: true });
  return promise;
}

interface Played {
  redis: Redis;
  names: Names;
}

/** How often the model was asked, by turn. */
export async function asksOf({ redis, names: { tag } }: Played, runId: string): Promise<number[]> {
  const asks = await redis.hgetall(`${tag}:asks`);
  const ofRun = Object.entries(asks).filter(([field]) => field.startsWith(`${runId} `));
  return ofRun.toSorted(([a], [b]) => a.localeCompare(b)).map(([, count]) => Number(count));
}

/** The requests that were aborted. */
export const unanswered = ({ redis, names: { tag } }: Played): Promise<string[]> =>
  redis.lrange(`${tag}:unanswered`, 0, -1);
