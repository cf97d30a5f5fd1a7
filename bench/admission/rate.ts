import { setTimeout as delay } from 'node:timers/promises';
import { ask, completed, users, type Outcome } from './calls.ts';
import type { Report } from './figures.ts';
import { quickLock, startFleet, type Fleet } from './fleet.ts';
import { grantsOfStarts, watchGrants, type Entry } from './grants.ts';
import { mostWithin } from './windows.ts';

const asking = users(5);
const calls = 2_000;
const perSecond = 50;
const burst = 10;
const limits = [{ per: ['user' as const], rate: { limit: perSecond, periodMs: 1_000, burst } }];
const windowsMs = [100, 1_000, 5_000];
const harmAfterMs = 10_000;
/** Calls outlast the outage: by default those whose tool nobody serves for 10 s are refused. */
const patienceMs = 120_000;

/** For how long there was no worker at all, ms. */
type Harm = (fleet: Fleet) => Promise<number>;

const harms: Record<string, Harm> = {
  async 'the worker with the pump killed and restarted'(fleet) {
    const holder = await fleet.redis.get(`${fleet.names.tag}:pump`);
    const victim = fleet.workers.find(({ id }) => id === holder);
    if (victim) await fleet.kill(victim);
    await delay(3_000);
    await fleet.add();
    return 0;
  },
  async 'the whole fleet down for 20 s'(fleet) {
    const from = performance.now();
    await Promise.all([...fleet.workers].map(fleet.kill));
    await delay(20_000);
    await Promise.all([fleet.add(), fleet.add()]);
    return performance.now() - from;
  },
};

/** 1. Five users with 2,000 waiting calls each and a rate of 50/s, burst 10: never more grants than that, and not much fewer. */
export async function measureRate(redisUrl: string, report: Report): Promise<void> {
  for (const [name, harm] of Object.entries(harms)) {
    const fleet = await startFleet(redisUrl, { settings: quickLock });
    const watch = await watchGrants(redisUrl, fleet.names.tag);
    const dispatcher = await fleet.dispatcher({ limits, unservedMs: patienceMs });
    const asked = asking.map((user) => ask(dispatcher, calls, { user, tool: 'counted', args: { ms: 5 } }));
    await delay(harmAfterMs);
    const downMs = await harm(fleet);
    const outcomes = await Promise.all(asked);
    watch.stop();
    await fleet.end();
    describe(name, report, outcomes, watch.entries, downMs);
    const done = completed(outcomes.flat()).length;
    report(`calls completed, ${name}`, done, { exactly: asking.length * calls });
    report(`pick-ups per completed call, ${name}`, watch.pickUps / done, { atMost: 1.1 });
  }
}

function describe(name: string, report: Report, outcomes: Outcome[][], entries: Entry[], downMs: number): void {
  const ofUsers = outcomes.map((own) => {
    const keys = new Set(own.map(({ key }) => key));
    const starts = entries.filter(({ what, call }) => what === 'started' && keys.has(call)).map(({ at }) => at);
    return { grants: grantsOfStarts(entries, (call) => keys.has(call)), starts };
  });
  for (const windowMs of windowsMs) {
    const allowed = burst + (perSecond * windowMs) / 1_000;
    const most = Math.max(...ofUsers.map(({ grants }) => mostWithin(grants, windowMs)));
    const handlersStarted = Math.max(...ofUsers.map(({ starts }) => mostWithin(starts, windowMs)));
    report(`most grants of a user in ${windowMs} ms, ${name}`, most, { atMost: allowed }, { handlersStarted });
  }
  const used = Math.min(...ofUsers.map(({ grants }) => shareUsed(grants, downMs)));
  report(`share of the allowed rate that was used, ${name}`, used, { atLeast: 0.95 }, { downMs: Math.round(downMs) });
}

/** What was granted of what could have been from the first grant to the last, while there was a worker. */
function shareUsed(grants: readonly number[], downMs: number): number {
  const upMs = (grants.at(-1) ?? 0) - (grants[0] ?? 0) - downMs;
  return grants.length / (burst + (perSecond * upMs) / 1_000);
}
