import { users } from './calls.ts';
import { startDispatcher } from './dispatcher-process.ts';
import type { Report } from './figures.ts';
import { startFleet } from './fleet.ts';
import { startsKey } from './tools.ts';

const allowed = 200;
const asked = 1_000;
const dispatchers = 4;
/** Longer than the bench, so that no window turns within. */
const windowMs = 31 * 24 * 3_600_000;

/** 6. Of 1,000 calls asked at once from four dispatchers as many start as the quota has. */
export async function measureQuota(redisUrl: string, report: Report): Promise<void> {
  const fleet = await startFleet(redisUrl);
  const limits = [{ per: ['user' as const], quota: { limit: allowed, windowMs } }];
  const [user = ''] = users(1);
  const senders = await Promise.all(
    Array.from({ length: dispatchers }, () => startDispatcher(redisUrl, fleet.prefix, { limits })),
  );
  const count = asked / dispatchers;
  const tallies = await Promise.all(
    senders.map((sender) => sender.ask({ count, asked: [{ user, tool: 'counted', args: { ms: 1 } }] })),
  );
  const sum = (of: string) => tallies.reduce((total, tally) => total + (tally[of] ?? 0), 0);
  report('starts of 1,000 asked at once, quota 200', await fleet.redis.llen(startsKey(fleet.prefix)), {
    exactly: allowed,
  });
  report('refused as quota_exceeded', sum('quota_exceeded'), { exactly: asked - allowed });
  await Promise.all(senders.map((sender) => sender.kill()));
  await fleet.end();
}
