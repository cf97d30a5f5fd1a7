import { setTimeout as delay } from 'node:timers/promises';
import type { DispatcherOptions } from '@callyard/dispatcher';
import { ask, users, type Asked, type Outcome } from './calls.ts';
import type { Report } from './figures.ts';
import { startFleet } from './fleet.ts';
import { startOthers } from './others.ts';

const toolMs = 20;
const weights = { small: 1, medium: 2, large: 4 };

/** Who gets how much of a fleet that is full: one alone all of it, equal users the same, others by their weights. */
export async function measureShares(redisUrl: string, report: Report): Promise<void> {
  const own = await aloneRate(redisUrl);
  const plain = await plainRate(redisUrl);
  const rates = { callyardPerSecond: Math.round(own), plainPerSecond: Math.round(plain) };
  report('rate of one user alone to plain BullMQ', own / plain, { atLeast: 0.95 }, rates);

  const equal = await startsWhileAllWait(
    redisUrl,
    {},
    users(10).map((user) => ({ user })),
    600,
  );
  report("Jain's index of 10 equal users", jain(equal), { atLeast: 0.99 }, { starts: equal });

  const roles = Object.keys(weights).map((role) => ({ user: role, roles: [role] }));
  const weighted = await startsWhileAllWait(redisUrl, { weights }, roles, 2_000);
  const each = Object.values(weights).map((weight, i) => (weighted[i] ?? 0) / weight);
  const mean = each.reduce((sum, one) => sum + one, 0) / each.length;
  const off = Math.max(...each.map((one) => Math.abs(one / mean - 1)));
  report('shares of weights 1:2:4, furthest off', off, { atMost: 0.1 }, { starts: weighted });
}

const alone = 5_000;

async function aloneRate(redisUrl: string): Promise<number> {
  const fleet = await startFleet(redisUrl);
  const dispatcher = await fleet.dispatcher();
  const ends = (await ask(dispatcher, alone, { user: 'mia', args: { ms: toolMs } })).map(
    ({ startedAt = 0, durationMs = 0 }) => startedAt + durationMs,
  );
  await fleet.end();
  return perSecond(ends);
}

async function plainRate(redisUrl: string): Promise<number> {
  const fleet = await startOthers('plain BullMQ', redisUrl);
  await fleet.add(Array.from({ length: alone }, () => ({ user: 'mia', ms: toolMs, at: Date.now() })));
  while (fleet.ends.length < alone) await delay(50);
  await fleet.end();
  return perSecond(fleet.ends.map(({ endedAt }) => endedAt));
}

const perSecond = (ends: readonly number[]): number => (ends.length / (Math.max(...ends) - Math.min(...ends))) * 1_000;

/** Starts of each user from when the last of them started first to when the first of them has started all. */
async function startsWhileAllWait(
  redisUrl: string,
  options: DispatcherOptions,
  asked: readonly Asked[],
  each: number,
): Promise<number[]> {
  const fleet = await startFleet(redisUrl);
  const dispatcher = await fleet.dispatcher(options);
  const outcomes = await Promise.all(asked.map((one) => ask(dispatcher, each, { ...one, args: { ms: toolMs } })));
  await fleet.end();
  const starts = outcomes.map(startsOf);
  const from = Math.max(...starts.map((own) => Math.min(...own)));
  const until = Math.min(...starts.map((own) => Math.max(...own)));
  return starts.map((own) => own.filter((at) => at >= from && at <= until).length);
}

const startsOf = (outcomes: readonly Outcome[]): number[] => outcomes.map(({ startedAt = 0 }) => startedAt);

/** (Σx)² / (n Σx²): 1 where all have the same, 1/n where one has everything. */
function jain(values: readonly number[]): number {
  const sum = values.reduce((total, one) => total + one, 0);
  return sum ** 2 / (values.length * values.reduce((total, one) => total + one ** 2, 0));
}
