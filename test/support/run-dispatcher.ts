/* A dispatcher process in tests: its model says what the user's message says. */
import { Redis } from 'ioredis';
import { loadConfig } from '@callyard/shared/config';
import { createNames } from '@callyard/shared/names';
import { serveRuns } from '../../packages/cli/src/serve.ts';
import { playedModel } from './played-model.ts';

const config = loadConfig('dispatcher');
await serveRuns(config, [playedModel(new Redis(config.redisUrl), createNames(config.prefix))]);
