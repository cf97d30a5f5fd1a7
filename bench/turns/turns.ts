import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { environmentWith } from '@callyard/shared/config';
import { Redis } from 'ioredis';
import type { BenchOptions } from '../options.ts';
import { percentile } from '../../packages/cli/src/replay/summary.ts';
import { median, spread } from '../figures.ts';
import { startCollector } from '../telemetry/collector.ts';
import { commandsSince, resetCommandStats } from '../redis-commands.ts';
import { callsPerTurn, variants, type RunReport, type Variant } from './variants.ts';

interface Case {
  variant: Variant;
  dispatchers: number;
  concurrency: number;
}

interface Figures {
  turnsPerSecond: number;
  p50Ms: number;
  p99Ms: number;
  redisCommandsPerCall: number;
}

/** One trace in ten, as in production. */
const sampled = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0.1' };

/** Turns of one run: enough for about a second each. */
const turnsFor = (concurrency: number): number => (concurrency === 1 ? 300 : 2_400);

/**
 * Three-call turns of a tool that does nothing, through one worker process: plain BullMQ, BullMQ with QueueEvents, and
 * Callyard. The variants take turns within each round, so that whatever else the machine does hits all of them.
 */
export async function benchTurns({ redisUrl, runs, json }: BenchOptions): Promise<void> {
  const redis = new Redis(redisUrl);
  const sink = await startCollector();
  const rows: string[][] = [];
  for (const dispatchers of [1, 4]) {
    const fleets = await Promise.all(
      variants.map((variant) => startFleet(variant, dispatchers, redisUrl, sink.endpoint)),
    );
    for (const concurrency of [1, 64, 256]) {
      const cases = variants.map((variant): Case => ({ variant, dispatchers, concurrency }));
      const figures = await measure(cases, fleets, redis, runs);
      cases.forEach((one, i) => rows.push(describe(one, figures[i] ?? [], json)));
    }
    for (const fleet of fleets) fleet.stop();
  }
  if (!json) printTable(rows);
  sink.stop();
  redis.disconnect();
}

async function measure(cases: Case[], fleets: Fleet[], redis: Redis, runs: number): Promise<Figures[][]> {
  const figures: Figures[][] = cases.map(() => []);
  for (let run = -1; run < runs; run++) {
    for (const [i, { concurrency }] of cases.entries()) {
      const measured = await (fleets[i] as Fleet).run(concurrency, redis);
      if (run >= 0) figures[i]?.push(measured); // the first round only warms up
    }
  }
  return figures;
}

interface Fleet {
  run(concurrency: number, redis: Redis): Promise<Figures>;
  stop(): void;
}

async function startFleet(variant: Variant, dispatchers: number, url: string, endpoint: string): Promise<Fleet> {
  const name = `bench-${variant}-${dispatchers}-${process.pid}`;
  const worker = await startProcess('worker', variant, url, name, endpoint);
  const fleet = await Promise.all(
    Array.from({ length: dispatchers }, () => startProcess('dispatcher', variant, url, name, endpoint)),
  );
  return {
    async run(concurrency, redis) {
      const share = Math.max(1, Math.round(concurrency / dispatchers));
      const turns = Math.round(turnsFor(concurrency) / dispatchers);
      await resetCommandStats(redis);
      const startedAt = performance.now();
      const reports = await Promise.all(fleet.map((child) => ask(child, { turns, concurrency: share })));
      if (variant === 'plain') await drained(redis, name);
      const elapsedMs = performance.now() - startedAt;
      const latencies = reports.flatMap(({ latenciesMs }) => latenciesMs).toSorted((a, b) => a - b);
      const done = turns * dispatchers;
      return {
        turnsPerSecond: (done / elapsedMs) * 1_000,
        p50Ms: percentile(latencies, 0.5),
        p99Ms: percentile(latencies, 0.99),
        redisCommandsPerCall: (await commandsSince(redis)) / (done * callsPerTurn),
      };
    },
    stop: () => [worker, ...fleet].forEach((child) => child.disconnect()),
  };
}

async function startProcess(...args: [string, Variant, string, string, string]): Promise<ChildProcess> {
  const child = fork(new URL('./process.ts', import.meta.url), args, { env: environmentWith(sampled) });
  await once(child, 'message');
  return child;
}

async function ask(child: ChildProcess, order: object): Promise<RunReport> {
  child.send(order);
  const [report] = (await once(child, 'message')) as [RunReport];
  return report;
}

/** Without a gather nobody is told that the worker is through, so the queue itself is asked, 20 times a second. */
async function drained(redis: Redis, queue: string): Promise<void> {
  while ((await redis.llen(`bull:${queue}:wait`)) + (await redis.llen(`bull:${queue}:active`)) > 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function describe({ variant, dispatchers, concurrency }: Case, figures: Figures[], json: boolean): string[] {
  const of = (name: keyof Figures) => figures.map((one) => one[name]);
  const turns = median(of('turnsPerSecond'));
  const line = {
    bench: 'turns',
    variant,
    dispatchers,
    concurrency,
    turnsPerSecond: Math.round(turns),
    callsPerSecond: Math.round(turns * callsPerTurn),
    p50Ms: round(median(of('p50Ms'))),
    p99Ms: round(median(of('p99Ms'))),
    redisCommandsPerCall: round(median(of('redisCommandsPerCall'))),
  };
  if (json) console.log(JSON.stringify(line));
  const { bench: _bench, ...cells } = line;
  return [...Object.values(cells).map(String), spread(of('turnsPerSecond'))];
}

const round = (value: number): number => Math.round(value * 100) / 100;

function printTable(rows: string[][]): void {
  const head = [
    'variant',
    'dispatchers',
    'concurrency',
    'turns/s',
    'calls/s',
    'p50 ms',
    'p99 ms',
    'commands/call',
    'turns/s spread',
  ];
  const widths = head.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  for (const row of [head, ...rows]) console.log(row.map((cell, i) => cell.padStart(widths[i] ?? 0)).join('  '));
}
