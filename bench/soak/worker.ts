/* A worker of the soak: every call is a side effect, counted by its idempotency key. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { loadConfig } from '@callyard/shared/config';
import { createNames } from '@callyard/shared/names';
import { defineTool, Type, type ToolContext } from '@callyard/worker';
import { serve } from '../../packages/cli/src/serve.ts';
import { countEffect, countFault } from './effects.ts';
import { toolMs } from './script.ts';

const config = loadConfig('worker');
const names = createNames(config.prefix);
const redis = new Redis(config.redisUrl);

const Place = Type.Object({ run: Type.Integer(), turn: Type.Integer(), index: Type.Integer() });

async function takeEffect(place: object, { idempotencyKey, signal }: ToolContext): Promise<object> {
  const isSettled = await redis.exists(names.outcome(idempotencyKey));
  signal.throwIfAborted(); // Redis may have been away so long that somebody else has run the call
  if (isSettled === 1) await countFault(redis, config.prefix, 'settled call executed again');
  await countEffect(redis, config.prefix, idempotencyKey);
  await delay(toolMs, undefined, { signal });
  return place;
}

const base = { version: '1.0.0', description: 'Takes effect', parameters: Place, handler: takeEffect };
await serve({ ...config, metricsPort: 0 }, [
  defineTool({ ...base, name: 'effect', policy: { maxLost: 20 } }),
  defineTool({ ...base, name: 'effect_once', policy: { effects: 'at-most-once' } }),
]);
