import { setTimeout as delay } from 'node:timers/promises';
import type { Dispatcher } from '@callyard/dispatcher';
import { percentile } from '../../packages/cli/src/replay/summary.ts';
import { ask, latencies, users, type Asked, type Outcome } from './calls.ts';
import { startDispatcher } from './dispatcher-process.ts';
import type { Report } from './figures.ts';
import { startFleet } from './fleet.ts';

const args = { ms: 20 };
const everyMs = 50;
const calls = 100;
const backlog = 8_000;

/** 9. Interactive calls beside a batch that saturates the fleet, and batch beside interactive ones that do. */
export async function measureClasses(redisUrl: string, report: Report): Promise<void> {
  await besideBatch(redisUrl, report);
  await shareOfBatch(redisUrl, report);
}

async function besideBatch(redisUrl: string, report: Report): Promise<void> {
  const fleet = await startFleet(redisUrl);
  const dispatcher = await fleet.dispatcher();
  const alone = latencies(await trickle(dispatcher, { user: 'mia', args }));
  const sender = await startDispatcher(redisUrl, fleet.prefix);
  sender.send({ count: backlog, asked: [{ user: 'ben', args, class: 'batch' }] });
  await fleet.hasWaiting(backlog / 2);
  const beside = latencies(await trickle(dispatcher, { user: 'mia', args }));
  await sender.kill();
  await fleet.end();
  const ratio = percentile(beside, 0.95) / percentile(alone, 0.95);
  report('interactive p95 beside batch to p95 alone', ratio, { atMost: 2 }, p95s(alone, beside));
}

const p95s = (alone: number[], beside: number[]) => ({
  aloneP95Ms: percentile(alone, 0.95),
  besideP95Ms: percentile(beside, 0.95),
});

/** A caller who asks every 50 ms. */
async function trickle(dispatcher: Dispatcher, asked: Asked): Promise<Outcome[]> {
  const all: Promise<Outcome[]>[] = [];
  for (let i = 0; i < calls; i++) {
    all.push(ask(dispatcher, 1, asked));
    await delay(everyMs);
  }
  return (await Promise.all(all)).flat();
}

/** Of the starts while both wait. */
async function shareOfBatch(redisUrl: string, report: Report): Promise<void> {
  const fleet = await startFleet(redisUrl);
  const dispatcher = await fleet.dispatcher();
  const of = (name: string, jobClass: Asked['class']) =>
    users(2, name).map((user) => ask(dispatcher, backlog / 8, { user, args, class: jobClass }));
  const [batch, interactive] = await Promise.all(
    [of('batch', 'batch'), of('live', 'interactive')].map(async (asked) => startsOf(await Promise.all(asked))),
  );
  await fleet.end();
  const [from, until] = [interactive?.[0] ?? 0, interactive?.at(-1) ?? 0];
  const starts = batch?.filter((at) => at >= from && at <= until).length ?? 0;
  const all = starts + (interactive?.length ?? 0);
  report('share of batch in the starts beside interactive', starts / all, { atLeast: 0.1 }, { starts: all });
}

const startsOf = (outcomes: readonly Outcome[][]): number[] =>
  outcomes
    .flat()
    .flatMap(({ startedAt }) => startedAt ?? [])
    .toSorted((a, b) => a - b);
