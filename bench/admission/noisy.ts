import { setTimeout as delay } from 'node:timers/promises';
import type { DispatcherOptions } from '@callyard/dispatcher';
import { percentile } from '../../packages/cli/src/replay/summary.ts';
import { ask, latencies, users } from './calls.ts';
import { startDispatcher } from './dispatcher-process.ts';
import type { Report } from './figures.ts';
import { startFleet, type Fleet } from './fleet.ts';
import { startOthers, type OtherKind } from './others.ts';
import { measureShares } from './shares.ts';

const toolMs = 20;
const noise = 10_000;
const crowds = [1, 5, 20];
const quiet = users(10, 'quiet');
const everyMs = 100;
const aloneMs = 3_000;
const besideMs = 6_000;

const noisyRole = 'noisy';
/** Room for what the ten ask for, 100/s, and less than the fleet could do. */
const sharedRate = { per: [], rate: { limit: 500, periodMs: 1_000, burst: 20 } };
const ownRate = { for: { role: noisyRole }, per: ['user' as const], rate: { limit: 20, periodMs: 1_000, burst: 10 } };
const cases: Record<string, Pick<DispatcherOptions, 'limits'>> = {
  unlimited: {},
  'rate-limited': { limits: [ownRate] },
  'behind a bucket they share': { limits: [sharedRate] },
};

/** 3. Ten users who ask now and then, alone and beside some who ask for 10,000 calls at once. */
export async function measureNoisy(redisUrl: string, report: Report): Promise<void> {
  for (const [name, options] of Object.entries(cases)) {
    for (const crowd of crowds) {
      const fleet = await startFleet(redisUrl);
      const { alone, beside } = await besideNoise(fleet, options, crowd);
      await fleet.end();
      const about = { noisy: crowd, ...p50s(alone, beside) };
      report(`p95 of ten beside ${crowd} noisy to alone, ${name}`, ratio(alone, beside), { atMost: 2 }, about);
    }
  }
  for (const kind of ['plain BullMQ', 'groupmq'] as const) {
    for (const crowd of crowds) {
      const { alone, beside } = await othersBesideNoise(kind, redisUrl, crowd);
      const about = { noisy: crowd, ...p50s(alone, beside) };
      report(`p95 of ten beside ${crowd} noisy to alone, ${kind}`, ratio(alone, beside), undefined, about);
    }
  }
  await measureShares(redisUrl, report);
}

interface Latencies {
  alone: number[];
  beside: number[];
}

const ratio = (alone: number[], beside: number[]): number => percentile(beside, 0.95) / percentile(alone, 0.95);

const p50s = (alone: number[], beside: number[]) => ({
  aloneP50Ms: percentile(alone, 0.5),
  aloneP95Ms: percentile(alone, 0.95),
  besideP50Ms: percentile(beside, 0.5),
  besideP95Ms: percentile(beside, 0.95),
  calls: beside.length,
});

async function besideNoise(fleet: Fleet, options: DispatcherOptions, crowd: number): Promise<Latencies> {
  const dispatcher = await fleet.dispatcher(options);
  const one = (user: string) => ask(dispatcher, 1, { user, args: { ms: toolMs } });
  const alone = latencies((await trickle(one, aloneMs)).flat());
  const sender = await startDispatcher(fleet.redisUrl, fleet.prefix, options);
  const asked = users(crowd, 'noisy').map((user) => ({ user, roles: [noisyRole], args: { ms: toolMs } }));
  sender.send({ count: noise / crowd, asked });
  const beside = latencies((await trickle(one, besideMs)).flat());
  await sender.kill();
  return { alone, beside };
}

/** Each of the ten asks every 100 ms, one shortly after the other. */
async function trickle<T>(askOne: (user: string) => Promise<T>, ms: number): Promise<T[]> {
  const all: Promise<T>[] = [];
  const until = performance.now() + ms;
  for (let i = 0; performance.now() < until; i++) {
    all.push(askOne(quiet[i % quiet.length] ?? ''));
    await delay(everyMs / quiet.length);
  }
  return Promise.all(all);
}

/** As long as it takes until all of the ten's are through: without shares they wait for the noise before them. */
async function othersBesideNoise(kind: OtherKind, redisUrl: string, crowd: number): Promise<Latencies> {
  const fleet = await startOthers(kind, redisUrl);
  const job = (user: string) => ({ user, ms: toolMs, at: Date.now() });
  const one = (user: string) => fleet.add([job(user)]);
  const through = async (added: number, from: number): Promise<number[]> => {
    const own = () => fleet.ends.slice(from).filter(({ user }) => quiet.includes(user));
    while (own().length < added) await delay(50);
    return own()
      .map(({ at, endedAt }) => endedAt - at)
      .toSorted((a, b) => a - b);
  };
  const alone = await through((await trickle(one, aloneMs)).length, 0);
  const from = fleet.ends.length;
  const noisy = users(crowd, 'noisy');
  const added = fleet.add(Array.from({ length: noise }, (_, i) => job(noisy[i % crowd] ?? '')));
  const beside = await through((await trickle(one, besideMs)).length, from);
  await added;
  await fleet.end();
  return { alone, beside };
}
