/* A worker of the bench of admission; its settings are its environment. */
import { loadConfig } from '@callyard/shared/config';
import { Redis } from 'ioredis';
import { serve } from '../../packages/cli/src/serve.ts';
import { countingTools, work } from './tools.ts';

const config = loadConfig('worker');
await serve({ ...config, metricsPort: 0 }, [work, ...countingTools(new Redis(config.redisUrl), config.prefix)]);
