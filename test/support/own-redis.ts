import { Redis } from 'ioredis';
import { onTestFinished } from 'vitest';
import { createNames } from '@callyard/shared/names';
import { startLocalRedis } from '../../packages/cli/src/local-redis/index.ts';

/** A Redis that a test has to itself, as it has it refuse writes or answer nobody for a while. */
export async function ownRedis() {
  const { url, pid, stop } = await startLocalRedis();
  if (pid === undefined) throw new Error(`the Redis at ${url} is no process of this machine`);
  const redis = new Redis(url);
  const thaw = () => process.kill(pid, 'SIGCONT');
  onTestFinished(async () => {
    thaw();
    redis.disconnect();
    await stop();
  });
  const takesWrites = (does: boolean) => redis.config('SET', 'min-replicas-to-write', does ? '0' : '1');
  return {
    url,
    redis,
    names: createNames('own'),
    refuseWrites: () => takesWrites(false),
    takeWrites: () => takesWrites(true),
    /** Has it answer nobody, until `thaw`. */
    freeze: () => process.kill(pid, 'SIGSTOP'),
    thaw,
  };
}
