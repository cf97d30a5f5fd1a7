import { setTimeout as delay } from 'node:timers/promises';
import { createAdmission } from '@callyard/shared/admission/admission';
import type { Dispatcher, DispatcherOptions } from '@callyard/dispatcher';
import type { Redis } from 'ioredis';
import { resetCommandStats } from '../redis-commands.ts';
import { ask, completed, users, type Outcome } from './calls.ts';
import type { Report } from './figures.ts';
import { slotsOfWorker, startFleet, type Fleet } from './fleet.ts';
import { openKey } from './tools.ts';

const asking = users(10_000);
const callsOfUser = 10;
const waiting = asking.length * callsOfUser;
const sweeps = 200;

/** Wide enough never to bind. */
const wide = 1_000_000;
const per = ['user' as const];
const limits = [
  { per, rate: { limit: wide, periodMs: 1_000 } },
  { per, concurrency: wide },
];

interface Backlog {
  bytesPerCall: number;
  enqueuedPerSecond: number;
  sweepMs: { idle: number; waiting: number };
  startsPerSecond: number;
}

/** 7. What 100,000 waiting calls of 10,000 users cost, and how fast they start, against a queue without limits. */
export async function measureBacklog(redisUrl: string, report: Report): Promise<void> {
  const limited = await pileUp(redisUrl, { limits });
  const shared = await pileUp(redisUrl, {});
  const free = await pileUp(redisUrl, { fairShare: false });
  report('bytes of Redis per waiting call', limited.bytesPerCall, undefined, {
    withoutLimits: Math.round(free.bytesPerCall),
  });
  const rates = { withoutLimits: Math.round(free.enqueuedPerSecond) };
  report('calls enqueued per second', limited.enqueuedPerSecond, undefined, rates);
  report('ms of a sweep beside 100,000 waiting calls', limited.sweepMs.waiting, undefined, {
    idle: limited.sweepMs.idle,
  });
  const perSecond = Math.round(free.startsPerSecond);
  for (const [name, { startsPerSecond }] of Object.entries({ limits: limited, 'fair share': shared })) {
    const about = { startsPerSecond: Math.round(startsPerSecond), withoutLimits: perSecond };
    report(`start rate with ${name} to that without`, startsPerSecond / free.startsPerSecond, { atLeast: 0.8 }, about);
  }
}

/** All slots are held while the calls come; then they are let go. */
async function pileUp(redisUrl: string, options: DispatcherOptions): Promise<Backlog> {
  const fleet = await startFleet(redisUrl);
  const dispatcher = await fleet.dispatcher(options);
  const slots = fleet.workers.length * slotsOfWorker;
  const held = ask(dispatcher, slots, { user: 'holder', tool: 'held', args: {} });
  while ((await fleet.jobs()) < slots) await delay(10);
  const idle = await sweepMs(fleet);
  const before = await usedMemory(fleet.redis);
  const from = performance.now();
  const asked = askAll(dispatcher);
  while ((await fleet.jobs()) < slots + waiting) await delay(20);
  const enqueuedPerSecond = (waiting / (performance.now() - from)) * 1_000;
  const bytesPerCall = ((await usedMemory(fleet.redis)) - before) / waiting;
  const beside = { idle, waiting: await sweepMs(fleet) };
  await fleet.redis.set(openKey(fleet.prefix), 1);
  const [outcomes] = await Promise.all([asked, held]);
  await fleet.end();
  return { bytesPerCall, enqueuedPerSecond, sweepMs: beside, startsPerSecond: startRate(outcomes) };
}

async function askAll(dispatcher: Dispatcher): Promise<Outcome[]> {
  return (await Promise.all(asking.map((user) => ask(dispatcher, callsOfUser, { user })))).flat();
}

function startRate(outcomes: readonly Outcome[]): number {
  const starts = completed(outcomes)
    .map(({ startedAt = 0 }) => startedAt)
    .toSorted((a, b) => a - b);
  if (starts.length < waiting) throw new Error(`${waiting - starts.length} of ${waiting} calls did not complete`);
  return (starts.length / ((starts.at(-1) ?? 0) - (starts[0] ?? 0))) * 1_000;
}

/** By Redis's own account, of sweeps that count slots and reap, as one does when a worker comes. */
async function sweepMs({ redis, names }: Fleet): Promise<number> {
  const admission = createAdmission(redis, names);
  await admission.sweep('bench', 1, true); // loads the script
  await resetCommandStats(redis);
  for (let i = 0; i < sweeps; i++) await admission.sweep('bench', 1, true);
  const stats = /^cmdstat_evalsha:.*usec_per_call=([\d.]+)/m.exec(await redis.info('commandstats'));
  return Number(stats?.[1]) / 1_000;
}

async function usedMemory(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0);
}
