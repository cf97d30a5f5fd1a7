import { createCache } from '@callyard/shared/cache';
import { loadConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { createNames } from '@callyard/shared/names';
import { openRedis } from '@callyard/shared/redis';

/** `callyard cache clear`: forgets the kept results of one tool, or of all. */
export async function cacheClearCommand(tool: string | undefined, { json }: { json?: boolean }): Promise<void> {
  const { redisUrl, prefix } = loadConfig('dispatcher');
  const log = createLogger({ name: 'callyard-cache', level: 'silent' });
  const redis = await openRedis({ url: redisUrl, name: 'callyard-cache', log });
  const cleared = await createCache(redis, createNames(prefix)).clear(tool);
  redis.disconnect();
  console.log(json ? JSON.stringify({ cleared }) : `${cleared} kept results ${tool ? `of ${tool} ` : ''}forgotten`);
}
