import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { loadConfig } from '@callyard/shared/config';
import { defineTool, ToolError, Type, type ToolContext } from '@callyard/worker';

/* Tools of the worker processes in tests. Each start is written to Redis, so that a test can wait for it and count. */

const { redisUrl, prefix } = loadConfig('worker');
const redis = new Redis(redisUrl);

/** Where a test finds the starts of a call: a list of `worker pid`. */
const startsKey = ({ idempotencyKey }: ToolContext): string => `{${prefix}:0}:starts:${idempotencyKey}`;

/** How many times this call has been started by now. */
const note = async (ctx: ToolContext): Promise<number> => {
  const starts = await redis.rpush(startsKey(ctx), process.pid);
  await redis.publish(`{${prefix}:0}:started`, ctx.idempotencyKey);
  return starts;
};

const Ms = Type.Object({ ms: Type.Integer({ minimum: 0 }) });

export const nap = defineTool({
  name: 'nap',
  version: '1.0.0',
  description: 'Sleeps, and says which process slept',
  parameters: Ms,
  policy: { timeoutMs: 60_000 },
  async handler({ ms }, ctx) {
    await note(ctx);
    await delay(ms, undefined, { signal: ctx.signal });
    return { pid: process.pid };
  },
});

/** Where a test finds the calls of `hold` that were aborted: a list of `key code`. */
const abortsKey = `{${prefix}:0}:aborts`;

export const hold = defineTool({
  name: 'hold',
  version: '1.0.0',
  description: 'Runs until it is aborted, and tells why it was',
  parameters: Type.Object({}),
  policy: { timeoutMs: 60_000 },
  async handler(_args, ctx) {
    await note(ctx);
    await new Promise<void>((resolve) => {
      if (ctx.signal.aborted) resolve();
      ctx.signal.addEventListener('abort', () => resolve());
    });
    await redis.rpush(abortsKey, `${ctx.idempotencyKey} ${(ctx.signal.reason as { code?: string }).code}`);
  },
});

export const holdOnce = defineTool({
  name: 'hold_once',
  version: '1.0.0',
  description: 'Runs until it is aborted, at most once',
  parameters: Type.Object({}),
  policy: { timeoutMs: 60_000, effects: 'at-most-once' },
  handler: hold.handler as never,
});

export const longNapFirst = defineTool({
  name: 'long_nap_first',
  version: '1.0.0',
  description: 'Sleeps for a minute when it is started first, and not at all when it is started again',
  parameters: Type.Object({}),
  policy: { timeoutMs: 120_000 },
  async handler(_args, ctx) {
    if ((await note(ctx)) === 1) await delay(60_000, undefined, { signal: ctx.signal });
    return { pid: process.pid };
  },
});

export const heldFirst = defineTool({
  name: 'held_first',
  version: '1.0.0',
  description: 'Waits to be let go when it is started first, whatever aborts it, and not when it is started again',
  parameters: Type.Object({}),
  policy: { timeoutMs: 120_000 },
  async handler(_args, ctx) {
    if ((await note(ctx)) === 1) await redis.duplicate().blpop(`${startsKey(ctx)}:let-go`, 60);
    return { pid: process.pid };
  },
});

export const sharedRest = defineTool({
  name: 'shared_rest',
  version: '1.0.0',
  description: 'Rests for a minute when it is run first, and answers at once when it is run again',
  parameters: Type.Object({}),
  policy: { timeoutMs: 120_000, effects: 'none', cache: { ttlMs: 60_000, scope: 'shared' } },
  async handler(_args, ctx) {
    const starts = await redis.incr(`{${prefix}:0}:rests`);
    await note(ctx);
    if (starts === 1) await delay(60_000, undefined, { signal: ctx.signal });
    return { pid: process.pid };
  },
});

export const napOnce = defineTool({
  name: 'nap_once',
  version: '1.0.0',
  description: 'Sleeps at most once',
  parameters: Ms,
  policy: { timeoutMs: 60_000, effects: 'at-most-once' },
  handler: nap.handler as never,
});

export const guarded = defineTool({
  name: 'guarded',
  version: '1.0.0',
  description: 'Starts when a person approves it, and at most once',
  parameters: Type.Object({}),
  policy: { effects: 'at-most-once' },
  needsApproval: true,
  async handler(_args, ctx) {
    await note(ctx);
    return { pid: process.pid };
  },
});

export const block = defineTool({
  name: 'block',
  version: '1.0.0',
  description: 'Blocks the event loop',
  parameters: Ms,
  policy: { timeoutMs: 60_000, maxLost: 0 },
  async handler({ ms }, ctx) {
    await note(ctx);
    const until = performance.now() + ms;
    while (performance.now() < until);
    return 'through';
  },
});

export const isolatedBlock = defineTool({
  name: 'isolated_block',
  version: '1.0.0',
  description: 'Blocks a process of its own',
  parameters: Type.Object({}),
  policy: { isolate: true, timeoutMs: 2_000, retry: { attempts: 1 } },
  module: import.meta.url,
  async handler(_args, ctx) {
    await note(ctx);
    for (;;);
  },
});

export const isolatedSpin = defineTool({
  name: 'isolated_spin',
  version: '1.0.0',
  description: 'Blocks a process of its own for as long as nobody ends it',
  parameters: Type.Object({}),
  policy: { isolate: true, timeoutMs: 60_000 },
  module: import.meta.url,
  handler: isolatedBlock.handler as never,
});

export const stumble = defineTool({
  name: 'stumble',
  version: '1.0.0',
  description: 'Fails at first, with a secret in its arguments',
  parameters: Type.Object({ secret: Type.Optional(Type.String()) }),
  policy: { retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 5 } },
  handler({ secret }, { attempt }) {
    if (attempt === 1) throw new ToolError('stumbled', { retry: 'backoff' });
    return { secret };
  },
});
