import { createAudit } from '@callyard/shared/audit';
import { createCache } from '@callyard/shared/cache';
import { loadConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { createNames } from '@callyard/shared/names';
import { openRedis } from '@callyard/shared/redis';
import { operator } from './operator.ts';

/** `callyard cache clear`: forgets the kept results of one tool, or of all. */
export async function cacheClearCommand(tool: string | undefined, { json }: { json?: boolean }): Promise<void> {
  const { redisUrl, prefix, auditFile: file } = loadConfig('dispatcher');
  const log = createLogger({ name: 'callyard-cache', level: 'silent' });
  const redis = await openRedis({ url: redisUrl, name: 'callyard-cache', log });
  const cleared = await createCache(redis, createNames(prefix)).clear(tool);
  const about = { by: operator(), tool, more: { cleared } };
  createAudit({ file, log }).write(
    { event: 'cache.cleared', decision: 'done', ...about },
    'kept results were forgotten',
  );
  redis.disconnect();
  console.log(json ? JSON.stringify({ cleared }) : `${cleared} kept results ${tool ? `of ${tool} ` : ''}forgotten`);
}
