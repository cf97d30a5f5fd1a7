/* npm run soak -- [kill] [conversation] [restart-aof] [restart-none] [alerts] [replay-kill] [replay-freeze]: what works is killed, or stopped. */
import { givenRedisUrl } from '@callyard/shared/config';
import { startLocalRedis } from '../../packages/cli/src/local-redis/index.ts';
import { soakAlerts } from './alerts.ts';
import { soakConversation } from './conversation.ts';
import { soakKill } from './kill.ts';
import { soakReplay } from './replay.ts';
import { soakRestart } from './restart.ts';

/** Each prints one JSON line, and resolves with whether all was well. */
const soaks: Record<string, (redisUrl: string) => Promise<boolean>> = {
  kill: soakKill,
  conversation: soakConversation,
  'restart-aof': soakRestart('aof'),
  'restart-none': soakRestart('none'),
  alerts: soakAlerts,
  'replay-kill': soakReplay('kill'),
  'replay-freeze': soakReplay('freeze'),
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in soaks));
if (unknown.length > 0) {
  console.error(`no soak ${unknown.join(', ')}; there are: ${Object.keys(soaks).join(', ')}`);
  process.exit(2);
}
const redis = await startLocalRedis({ url: givenRedisUrl(), log: (line) => console.error(line) });
for (const name of wanted.length > 0 ? wanted : Object.keys(soaks)) {
  if (!(await soaks[name]?.(redis.url))) process.exitCode = 1;
}
await redis.stop();
