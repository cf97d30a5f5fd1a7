import { hash } from 'node:crypto';
import type { Names } from './names.ts';
import type { CachePolicy } from './policy.ts';
import type { Principal } from './principal.ts';
import type { Redis } from './redis.ts';
import { canonicalJson } from './schema.ts';

/** Results of equal calls. They are asked for in open-4.lua, as part of the decision whether a call may start. */
export interface Cache {
  /** Keeps a redacted result, unless it is too large. Sent at once and not awaited: a settle that follows comes after it. */
  keep(id: string, value: unknown, policy: CachePolicy): Promise<void>;
  /** What is kept, however stale. */
  read(id: string): Promise<{ value: unknown } | undefined>;
  /** Forgets the results of a tool, or of all; resolves with how many. */
  clear(tool?: string): Promise<number>;
}

/** Equal are calls of one version of a tool with the same arguments, for the same user, owner, or anybody. */
export function cacheIdOf(
  tool: { name: string; version: string },
  scope: CachePolicy['scope'],
  { owner, userId }: Principal,
  args: unknown,
): string {
  const whose = { user: [owner, userId], owner: [owner], shared: [] }[scope];
  return `${tool.name}:${hash('sha256', canonicalJson([tool.version, scope, whose, args])).slice(0, 32)}`;
}

export function createCache(redis: Redis, names: Names): Cache {
  return {
    async keep(id, value, { ttlMs, staleIfErrorMs, maxBytes }) {
      const text = JSON.stringify(value);
      if (Buffer.byteLength(text) > maxBytes) return;
      await redis.set(names.cached(id), text, 'PX', ttlMs + staleIfErrorMs);
    },
    async read(id) {
      const text = await redis.get(names.cached(id));
      return text === null ? undefined : { value: JSON.parse(text) as unknown };
    },
    async clear(tool) {
      const match = names.cached(tool === undefined ? '*' : `${tool}:*`);
      let cleared = 0;
      for await (const keys of redis.scanStream({ match, count: 1_000 })) {
        if ((keys as string[]).length > 0) cleared += await redis.unlink(keys as string[]);
      }
      return cleared;
    },
  };
}
