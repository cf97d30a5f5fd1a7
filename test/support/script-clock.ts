import type { Redis } from 'ioredis';
import type { Names } from '@callyard/shared/names';

const readsTime = "redis.call('TIME')";

/**
 * Scripts run on this connection take the time from a key: a test passes time without waiting for it. Production code
 * knows nothing of it, as the text of a script is changed on its way to Redis.
 */
export async function holdScriptClock(redis: Redis, { tag }: Names) {
  const define = redis.defineCommand.bind(redis);
  redis.defineCommand = (name, definition) => {
    const { lua } = definition;
    define(name, { ...definition, lua: lua.includes('readClock()') ? onHeldClock(name, lua) : lua });
  };
  let now = 1_800_000_000_000;
  const set = async (at: number): Promise<void> => {
    now = at;
    const micros = Math.round(at * 1_000);
    const key = `${tag}:test-clock`;
    await redis
      .multi()
      .del(key)
      .rpush(key, Math.floor(micros / 1e6), micros % 1e6)
      .exec();
  };
  await set(now);
  return { now: () => now, set };
}

export type ScriptClock = Awaited<ReturnType<typeof holdScriptClock>>;

function onHeldClock(name: string, lua: string): string {
  if (!lua.includes(readsTime)) throw new Error(`${name} reads the time in a way of its own`);
  return (
    lua
      .replace(readsTime, "redis.call('LRANGE', tag .. ':test-clock', 0, 1)")
      // Keys live by the clock of the machine, which has nothing to do with the one a test sets.
      .replace('expiries[key] = ms', 'expiries[key] = ms + dayMs')
  );
}
