import { setTimeout as delay } from 'node:timers/promises';
import { createNames } from '@callyard/shared/names';
import { defineTool, Type, type ToolContext } from '@callyard/worker';
import type { Redis } from 'ioredis';

/** What the workers of the bench serve. */
export const toolNames = ['work', 'counted', 'shared', 'held'];

const Ms = Type.Object({ ms: Type.Integer({ minimum: 0 }) });

/** Where each start of a counted tool is written down, as `<pid of its worker> <call>`. */
export const startsName = 'bench:starts';
export const startsKey = (prefix: string): string => `${createNames(prefix).tag}:${startsName}`;

/** Set when held calls may end. */
export const openKey = (prefix: string): string => `${createNames(prefix).tag}:bench:open`;

export const work = defineTool({
  name: 'work',
  version: '1.0.0',
  description: 'Takes a while',
  parameters: Ms,
  policy: { timeoutMs: 600_000 },
  handler: ({ ms }) => (ms === 0 ? null : delay(ms, null)),
});

/** Tools whose starts are counted, dead workers' too. */
export function countingTools(redis: Redis, prefix: string) {
  const run = async ({ ms }: { ms: number }, { idempotencyKey }: ToolContext) => {
    await redis.rpush(startsKey(prefix), `${process.pid} ${idempotencyKey}`);
    await delay(ms);
    return process.pid;
  };
  const counted = defineTool({
    name: 'counted',
    version: '1.0.0',
    description: 'Takes a while, and its starts are counted',
    parameters: Ms,
    policy: { timeoutMs: 600_000 },
    handler: run,
  });
  const shared = defineTool({
    name: 'shared',
    version: '1.0.0',
    description: 'Takes a while once for all who ask',
    parameters: Ms,
    policy: { timeoutMs: 600_000, effects: 'none', cache: { ttlMs: 600_000, scope: 'shared' } },
    handler: run,
  });
  const held = defineTool({
    name: 'held',
    version: '1.0.0',
    description: 'Takes a slot until it is told to end',
    parameters: Type.Object({}),
    policy: { timeoutMs: 600_000 },
    async handler() {
      while ((await redis.exists(openKey(prefix))) === 0) await delay(50);
    },
  });
  return [counted, shared, held];
}
