import type { DispatcherOptions } from '@callyard/dispatcher';
import { ask, users, type Outcome } from './calls.ts';
import type { Report } from './figures.ts';
import { startFleet } from './fleet.ts';
import { watchGrants, type Entry } from './grants.ts';

const lanes = 5;
const turns = 4;
const callsPerTurn = 100;

const rate = { per: ['user' as const], rate: { limit: 200, periodMs: 1_000, burst: 10 } };
const cap = { per: ['user' as const], concurrency: 3 };
const shared = { per: [], rate: { limit: 800, periodMs: 1_000, burst: 20 } };
const cases: Record<string, NonNullable<DispatcherOptions['limits']>> = {
  'fair share': [],
  'a rate': [rate],
  'a cap': [cap],
  'a rate, a cap and a shared rate': [rate, cap, shared],
};

/** 4. Calls of a lane are granted in the order in which they were enqueued. */
export async function measureOrder(redisUrl: string, report: Report): Promise<void> {
  for (const [name, limits] of Object.entries(cases)) {
    const fleet = await startFleet(redisUrl);
    const dispatcher = await fleet.dispatcher({ limits });
    const watch = await watchGrants(redisUrl, fleet.names.tag);
    const outcomes = await Promise.all(
      users(lanes).map(async (user) => {
        const asked = Array.from({ length: turns }, () => ask(dispatcher, callsPerTurn, { user, args: { ms: 2 } }));
        return (await Promise.all(asked)).flat();
      }),
    );
    const late = outcomes.map((lane) => outOfOrder(lane, watch.entries)).reduce((sum, one) => sum + one, 0);
    const grants = watch.entries.filter(({ what }) => what === 'granted').length;
    report(`grants out of order, ${name}`, late, { exactly: 0 }, { grants, calls: lanes * turns * callsPerTurn });
    watch.stop();
    await fleet.end();
  }
}

/** First grants of calls of which one that was enqueued later has been granted already. */
function outOfOrder(lane: readonly Outcome[], entries: readonly Entry[]): number {
  const places = new Map(lane.map(({ key }, i) => [key, i]));
  const granted = new Set<string>();
  let last = -1;
  let late = 0;
  for (const { call, what } of entries) {
    const place = places.get(call);
    if (place === undefined || what !== 'granted' || granted.has(call)) continue;
    granted.add(call);
    if (place < last) late += 1;
    last = Math.max(last, place);
  }
  if (granted.size !== lane.length) throw new Error(`${granted.size} grants of ${lane.length} calls were seen`);
  return late;
}
