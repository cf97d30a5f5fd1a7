import { createAudit } from '@callyard/shared/audit';
import { createCache } from '@callyard/shared/cache';
import { loadConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { operator } from './operator.ts';
import { withRedis } from './with-redis.ts';

/** `callyard cache clear`: forgets the kept results of one tool, or of all. */
export async function cacheClearCommand(tool: string | undefined, { json }: { json?: boolean }): Promise<void> {
  const { auditFile: file } = loadConfig('dispatcher');
  const log = createLogger({ name: 'callyard-cache', level: 'silent' });
  const audit = createAudit({ file, log }); // first: what cannot be told of is not done
  const cleared = await withRedis('callyard-cache', (redis, names) => createCache(redis, names).clear(tool));
  const about = { by: operator(), tool, more: { cleared } };
  audit.write({ event: 'cache.cleared', decision: 'done', ...about }, 'kept results were forgotten');
  console.log(json ? JSON.stringify({ cleared }) : `${cleared} kept results ${tool ? `of ${tool} ` : ''}forgotten`);
}
