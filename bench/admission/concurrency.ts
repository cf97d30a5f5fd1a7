import { setTimeout as delay } from 'node:timers/promises';
import { ask, completed, users } from './calls.ts';
import { startDispatcher } from './dispatcher-process.ts';
import { measureFaults } from './faults.ts';
import type { Report } from './figures.ts';
import { quickLock, startFleet, type Fleet, type FleetOptions } from './fleet.ts';
import { watchGrants, type Entry } from './grants.ts';
import { startsKey } from './tools.ts';

const cap = 5;
const limits = [{ per: ['user' as const], concurrency: cap }];

/** How long admission may take to go on after its worker's lock has ended, ms. */
const graceMs = 2_000;

/** 5. A cap is never passed, nothing of it is lost with those who die, and whoever waits goes on soon after. */
export async function measureConcurrency(redisUrl: string, report: Report): Promise<void> {
  await underKills(redisUrl, report);
  await holderKilled(redisUrl, report, 'lock of 2 s', { settings: quickLock }, Number(quickLock.CALLYARD_LOCK_MS));
  await holderKilled(redisUrl, report, 'lock of 10 s, the default', {}, 10_000);
  await measureFaults(redisUrl, report);
}

const asking = users(3);
const calls = 20_000;
const killEveryMs = 2_000;

async function underKills(redisUrl: string, report: Report): Promise<void> {
  const fleet = await startFleet(redisUrl, { settings: quickLock });
  const watch = await watchGrants(redisUrl, fleet.names.tag);
  const dispatcher = await fleet.dispatcher({ limits });
  const each = Math.ceil(calls / asking.length);
  const asked = Promise.all(asking.map((user) => ask(dispatcher, each, { user, args: { ms: 10 } })));
  const kills = await killUntil(fleet, asked);
  const outcomes = (await asked).flat();
  await delay(Number(quickLock.CALLYARD_LOCK_MS) + graceMs);
  const about = { kills, calls: outcomes.length, lost: outcomes.filter(({ lost }) => lost > 0).length };
  report('most leases of a user at once, kill -9 every 2 s', mostHeld(watch.entries), { atMost: cap }, about);
  report('calls not completed, kill -9 every 2 s', outcomes.length - completed(outcomes).length, { exactly: 0 });
  report('leases and lanes left, kill -9 every 2 s', await fleet.leaked(), { exactly: 0 });
  watch.stop();
  await fleet.end();
}

/** Kills one worker after the other, a new one in its place, until all is done; answers how many. */
async function killUntil(fleet: Fleet, done: Promise<unknown>): Promise<number> {
  let isOver = false;
  void done.finally(() => (isOver = true));
  for (let kills = 0; ; kills++) {
    await Promise.race([done, delay(killEveryMs)]);
    if (isOver) return kills;
    const [oldest] = fleet.workers;
    if (oldest) await fleet.kill(oldest);
    await fleet.add();
  }
}

/** Of the buckets that count calls at once, the most that one of them held. */
function mostHeld(entries: readonly Entry[]): number {
  const holders = new Map<string, Set<string>>();
  const heldBy = new Map<string, string[]>();
  let most = 0;
  for (const entry of entries) {
    if (entry.what === 'started') continue;
    const { call } = entry;
    for (const bucket of heldBy.get(call) ?? []) holders.get(bucket)?.delete(call);
    const buckets = entry.what === 'granted' ? entry.held.filter((bucket) => bucket.startsWith('c:')) : [];
    heldBy.set(call, buckets);
    for (const bucket of buckets) {
      const own = holders.get(bucket) ?? new Set();
      holders.set(bucket, own.add(call));
      most = Math.max(most, own.size);
    }
  }
  return most;
}

async function holderKilled(
  redisUrl: string,
  report: Report,
  profile: string,
  options: FleetOptions,
  lockMs: number,
): Promise<void> {
  const fleet = await startFleet(redisUrl, { ...options, workers: 1 });
  const sender = await startDispatcher(redisUrl, fleet.prefix, { limits });
  sender.send({ count: 1_000 + cap, asked: [{ user: 'mia', tool: 'counted', args: { ms: 600_000 } }] });
  const [holder] = fleet.workers;
  const starts = async (wanted: number): Promise<void> => {
    while ((await fleet.redis.llen(startsKey(fleet.prefix))) < wanted) await delay(10);
  };
  await starts(cap);
  await fleet.hasWaiting(1_000);
  await fleet.add();
  const from = performance.now();
  if (holder) await fleet.kill(holder);
  await starts(cap + 1);
  const tookMs = Math.round(performance.now() - from);
  report(`ms to the next start, all leases with a killed worker, ${profile}`, tookMs, { atMost: lockMs + graceMs });
  await sender.kill();
  await fleet.end();
}
