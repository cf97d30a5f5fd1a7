import { setTimeout as delay } from 'node:timers/promises';
import type { Dispatcher, DispatcherOptions } from '@callyard/dispatcher';
import { Redis } from 'ioredis';
import { commandsSince, resetCommandStats } from '../redis-commands.ts';
import { ask, completed, users } from './calls.ts';
import type { Report } from './figures.ts';
import { startFleet, type Fleet } from './fleet.ts';
import { watchGrants } from './grants.ts';
import { monitor } from '../../test/support/redis-monitor.ts';
import { startOthers, type OtherKind } from './others.ts';

const callers = 20;
const turns = 100;
const callsPerTurn = 3;
const idleMs = 2_000;

const per = ['user' as const];
const wide = 1_000_000;
const rate = { per, rate: { limit: wide, periodMs: 1_000 } };
const cap = { per, concurrency: wide };
const quota = { per, quota: { limit: wide, windowMs: 3_600_000 } };
const cases: Record<string, DispatcherOptions> = {
  'no limit, no fair share': { fairShare: false },
  'fair share': {},
  'one limit': { limits: [rate] },
  'three limits': { limits: [rate, cap, quota] },
};

/** 2. What admission costs: Redis commands of calls in turns of three that wait for nothing, and pick-ups of calls that wait. */
export async function measureCommands(redisUrl: string, report: Report): Promise<void> {
  for (const [name, options] of Object.entries(cases)) {
    const fleet = await startFleet(redisUrl);
    const { all, ofAdmission } = await commandsPerCall(fleet, await fleet.dispatcher(options));
    const target = options.fairShare === false ? ({ exactly: 0 } as const) : undefined;
    report(`Redis commands of admission per call, ${name}`, ofAdmission, target);
    report(`Redis commands per call, ${name}`, all);
    await fleet.end();
  }
  for (const kind of ['plain BullMQ', 'groupmq'] as const) {
    report(`Redis commands per call, ${kind}`, await commandsOfOthers(kind, redisUrl));
  }
  await measurePickUps(redisUrl, report);
}

async function commandsPerCall(fleet: Fleet, dispatcher: Dispatcher): Promise<{ all: number; ofAdmission: number }> {
  await runTurns(dispatcher, 1); // loads the scripts
  await resetCommandStats(fleet.redis);
  await delay(idleMs);
  const idlePerMs = (await commandsSince(fleet.redis)) / idleMs;
  const admission = await countOfAdmission(fleet);
  await resetCommandStats(fleet.redis);
  const startedAt = performance.now();
  await runTurns(dispatcher, turns);
  const elapsedMs = performance.now() - startedAt;
  const all = (await commandsSince(fleet.redis)) - idlePerMs * elapsedMs;
  admission.stop();
  const calls = callers * turns * callsPerTurn;
  return { all: all / calls, ofAdmission: admission.count() / calls };
}

/** Jobs in threes, with nobody who waits for their results. */
async function commandsOfOthers(kind: OtherKind, redisUrl: string): Promise<number> {
  const fleet = await startOthers(kind, redisUrl);
  const redis = new Redis(redisUrl);
  const calls = turns * callers * callsPerTurn;
  await resetCommandStats(redis);
  for (let i = 0; i < turns; i++) {
    const turn = (user: string) => Array.from({ length: callsPerTurn }, () => ({ user, ms: 0, at: Date.now() }));
    await Promise.all(users(callers).map((user) => fleet.add(turn(user))));
  }
  while (fleet.ends.length < calls) await delay(20);
  const commands = await commandsSince(redis);
  redis.disconnect();
  await fleet.end();
  return commands / calls;
}

async function runTurns(dispatcher: Dispatcher, count: number): Promise<void> {
  const run = async (user: string) => {
    for (let i = 0; i < count; i++) await ask(dispatcher, callsPerTurn, { user });
  };
  await Promise.all(users(callers).map(run));
}

/** Commands on keys of admission, but for those of the sweep and the pump, which do not come with calls. */
async function countOfAdmission({
  redisUrl,
  names: { tag },
}: Fleet): Promise<{ count: () => number; stop: () => void }> {
  let count = 0;
  let ofScript = 0;
  const keys = ['pool:', 'out:', 'lane:', 'ready:', 'tags:', 'bucket:', 'later"', 'cache:', 'flight:'].map(
    (key) => `"${tag}:${key}`,
  );
  const stop = await monitor(redisUrl, (line) => {
    if (!line.includes(' lua] ')) {
      count += Math.max(0, ofScript);
      ofScript = 0;
    }
    if (line.includes(`"${tag}:pump"`)) ofScript = Number.NEGATIVE_INFINITY;
    else if (keys.some((key) => line.includes(key))) ofScript += 1;
  });
  return { count: () => count, stop };
}

const waiting = 1_000;
const waits: Record<string, DispatcherOptions> = {
  'fair share': {},
  'a rate of 200/s': { limits: [{ per, rate: { limit: 200, periodMs: 1_000, burst: 20 } }] },
  'a cap of 3': { limits: [{ per, concurrency: 3 }] },
};

async function measurePickUps(redisUrl: string, report: Report): Promise<void> {
  for (const [name, options] of Object.entries(waits)) {
    const fleet = await startFleet(redisUrl);
    const dispatcher = await fleet.dispatcher(options);
    const watch = await watchGrants(redisUrl, fleet.names.tag);
    const outcomes = await Promise.all(users(5).map((user) => ask(dispatcher, waiting, { user, args: { ms: 5 } })));
    const done = completed(outcomes.flat()).length;
    report(`pick-ups per completed call, ${name}`, watch.pickUps / done, { atMost: 1.1 }, { completed: done });
    watch.stop();
    await fleet.end();
  }
}
