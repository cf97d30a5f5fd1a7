import { startLocalRedis } from '@callyard/cli/local-redis';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    redisUrl: string;
  }
}

/** One real Redis for the whole run; without one nothing is tested. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const redis = await startLocalRedis({ url: process.env.REDIS_URL, log: console.log });
  project.provide('redisUrl', redis.url);
  return redis.stop;
}
