/* A dispatcher of the soak: its model takes a while, and counts what is asked although it was answered. */
import { setTimeout as delay } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { scriptedModel } from '@callyard/dispatcher';
import { loadConfig } from '@callyard/shared/config';
import { createNames } from '@callyard/shared/names';
import { serveRuns } from '../../packages/cli/src/serve.ts';
import { countEffect, countFault } from './effects.ts';
import { lineOf, modelMs, modelName } from './script.ts';

const config = loadConfig('dispatcher');
const names = createNames(config.prefix);
const redis = new Redis(config.redisUrl);

const model = scriptedModel(
  async ({ messages, turn, runId, signal }) => {
    const isRecorded = await redis.hexists(names.run(runId), `r:${turn}`);
    signal.throwIfAborted(); // as in worker.ts
    if (isRecorded === 1) await countFault(redis, config.prefix, 'recorded response asked for again');
    await countEffect(redis, config.prefix, `ask ${runId} ${turn}`);
    await delay(modelMs, undefined, { signal });
    return lineOf(messages, turn);
  },
  { name: modelName },
);
await serveRuns({ ...config, metricsPort: 0 }, [model]);
