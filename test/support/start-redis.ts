/** `node start-redis.ts OPTIONS leave|stay`: starts a Redis, prints its URL and pid as JSON, and never stops it. */
import { startLocalRedis, type LocalRedisOptions } from '@callyard/cli/local-redis';

const { url, pid } = await startLocalRedis(JSON.parse(process.argv[2] ?? '{}') as LocalRedisOptions);
console.log(JSON.stringify({ url, pid }));
if (process.argv[3] === 'stay') setInterval(() => {}, 60_000);
