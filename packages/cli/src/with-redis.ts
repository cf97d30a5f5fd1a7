import { loadConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { createNames, type Names } from '@callyard/shared/names';
import { openRedis, type Redis } from '@callyard/shared/redis';

/** A connection for the time of one command that looks at the fleet, and sends no calls. */
export async function withRedis<T>(name: string, work: (redis: Redis, names: Names) => Promise<T>): Promise<T> {
  const { redisUrl, prefix } = loadConfig('dispatcher');
  const redis = await openRedis({ url: redisUrl, name, log: createLogger({ name, level: 'silent' }) });
  try {
    return await work(redis, createNames(prefix));
  } finally {
    redis.disconnect();
  }
}
