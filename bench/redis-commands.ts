import type { Redis } from 'ioredis';

export const resetCommandStats = (redis: Redis): Promise<unknown> => redis.config('RESETSTAT');

/** Commands since the reset, those inside scripts included: it does not depend on the machine's mood. */
export async function commandsSince(redis: Redis): Promise<number> {
  const info = await redis.info('commandstats');
  const ours = /^cmdstat_(config|info|llen)/;
  return info
    .split('\r\n')
    .filter((line) => line.startsWith('cmdstat_') && !ours.test(line))
    .reduce((sum, line) => sum + Number(/calls=(\d+)/.exec(line)?.[1] ?? 0), 0);
}
