import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Redis } from 'ioredis';
import { percentile } from '../../packages/cli/src/replay/summary.ts';
import { median } from '../figures.ts';
import { commandsSince, resetCommandStats } from '../redis-commands.ts';
import type { RunReport } from '../turns/variants.ts';
import type { Report } from './figures.ts';
import type { RunsOrder } from './order.ts';

const kinds = ['memory', 'durable'] as const;
type Kind = (typeof kinds)[number];

interface Figures {
  runsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  redisCommandsPerRun: number;
}

const runsFor = (concurrency: number): number => (concurrency === 1 ? 200 : 1_600);

/** Runs of one turn of three calls: in memory, and durable. The two take turns in each round. */
export async function cost(redisUrl: string, rounds: number, report: Report): Promise<void> {
  const prefix = `bench-runs-${process.pid}`;
  const redis = new Redis(redisUrl);
  const worker = fork(new URL('../turns/process.ts', import.meta.url), ['worker', 'callyard', redisUrl, prefix]);
  await once(worker, 'message');
  const dispatcher = fork(new URL('./dispatcher.ts', import.meta.url), [redisUrl, prefix]);
  await once(dispatcher, 'message');
  for (const concurrency of [1, 64, 256]) {
    const figures: Record<Kind, Figures[]> = { memory: [], durable: [] };
    for (let round = -1; round < rounds; round++) {
      for (const kind of kinds) {
        const measured = await measure(dispatcher, { kind, runs: runsFor(concurrency), concurrency }, redis);
        if (round >= 0) figures[kind].push(measured); // the first round only warms up
      }
    }
    tell(concurrency, figures, report);
  }
  worker.disconnect();
  dispatcher.disconnect();
  redis.disconnect();
}

async function measure(dispatcher: ChildProcess, order: RunsOrder, redis: Redis): Promise<Figures> {
  await resetCommandStats(redis);
  dispatcher.send(order);
  const [{ elapsedMs, latenciesMs }] = (await once(dispatcher, 'message')) as [RunReport];
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  return {
    runsPerSecond: (order.runs / elapsedMs) * 1_000,
    p50Ms: percentile(sorted, 0.5),
    p99Ms: percentile(sorted, 0.99),
    redisCommandsPerRun: (await commandsSince(redis)) / order.runs,
  };
}

function tell(concurrency: number, figures: Record<Kind, Figures[]>, report: Report): void {
  const of = (kind: Kind, name: keyof Figures) => median(figures[kind].map((one) => one[name]));
  const ratio = of('durable', 'runsPerSecond') / of('memory', 'runsPerSecond');
  const both = (name: keyof Figures) => kinds.map((kind) => Math.round(of(kind, name) * 10) / 10).join(' → ');
  report('rate of durable runs to those in memory', ratio, {
    concurrency,
    runsPerSecond: both('runsPerSecond'),
    p50Ms: both('p50Ms'),
    p99Ms: both('p99Ms'),
    redisCommandsPerRun: both('redisCommandsPerRun'),
  });
}
