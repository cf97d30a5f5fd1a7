import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { environmentWith } from '@callyard/shared/config';
import { Redis } from 'ioredis';
import { percentile } from '../../packages/cli/src/replay/summary.ts';
import { renderTable } from '../../packages/cli/src/table.ts';
import { median } from '../figures.ts';
import type { BenchOptions } from '../options.ts';
import { callsPerTurn, type RunReport } from '../turns/variants.ts';
import { startCollector } from './collector.ts';
import { variants, type CpuReport, type Variant } from './variants.ts';

const turns = 6_000;
const concurrency = 64;

/** Spans are sent a second after they ended, which belongs to what they cost. */
const exportMs = 1_500;

interface Figures {
  callsPerSecond: number;
  p99Ms: number;
  /** of the dispatcher and the worker together */
  cpuMicrosPerCall: number;
  /** and of Redis */
  wholeCpuMicrosPerCall: number;
}

/**
 * What it costs to be seen: three-call turns of a tool that does nothing, 64 at once, through one dispatcher and one
 * worker. The variants take turns within each round, and each is held against the one without telemetry of its round.
 */
export async function benchTelemetry({ redisUrl, runs, json }: BenchOptions): Promise<void> {
  const redis = new Redis(redisUrl);
  const collectors = { takes: await startCollector(), hangs: await startCollector({ hangs: true }) };
  const fleets: Fleet[] = [];
  for (const one of variants) {
    const { endpoint } = one.hangs ? collectors.hangs : collectors.takes;
    fleets.push(await startFleet(one, redisUrl, endpoint, redis));
  }
  const rounds: Figures[][] = [];
  for (let round = -1; round < runs; round++) {
    const measured: Figures[] = [];
    for (const fleet of fleets) measured.push(await fleet.run());
    if (round >= 0) rounds.push(measured); // the first round only warms up
  }
  report(rounds, json);
  for (const fleet of fleets) fleet.stop();
  for (const collector of Object.values(collectors)) collector.stop();
  redis.disconnect();
}

interface Fleet {
  run(): Promise<Figures>;
  stop(): void;
}

async function startFleet(variant: Variant, redisUrl: string, endpoint: string, redis: Redis): Promise<Fleet> {
  const prefix = `bench-telemetry-${variants.indexOf(variant)}-${process.pid}`;
  const start = (role: string) => startProcess(variant, [role, variant.name, redisUrl, prefix, endpoint]);
  const fleet = [await start('worker'), await start('dispatcher')];
  const [, dispatcher] = fleet as [ChildProcess, ChildProcess];
  const cpuMicros = async (): Promise<number> => {
    const reports = await Promise.all(fleet.map((child) => ask<CpuReport>(child, { cpu: true })));
    return reports.reduce((sum, one) => sum + one.cpuMicros, 0);
  };
  return {
    async run() {
      const before = await cpuMicros();
      const redisBefore = await redisCpuMicros(redis);
      const { elapsedMs, latenciesMs } = await ask<RunReport>(dispatcher, { turns, concurrency });
      await delay(exportMs);
      const calls = turns * callsPerTurn;
      const cpu = (await cpuMicros()) - before;
      const ofRedis = (await redisCpuMicros(redis)) - redisBefore;
      return {
        callsPerSecond: (calls / elapsedMs) * 1_000,
        p99Ms: percentile(
          latenciesMs.toSorted((a, b) => a - b),
          0.99,
        ),
        cpuMicrosPerCall: cpu / calls,
        wholeCpuMicrosPerCall: (cpu + ofRedis) / calls,
      };
    },
    stop: () => fleet.forEach((child) => child.disconnect()),
  };
}

async function redisCpuMicros(redis: Redis): Promise<number> {
  const info = await redis.info('cpu');
  const seconds = [...info.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].map(([, value]) => Number(value));
  return seconds.reduce((sum, value) => sum + value, 0) * 1_000_000;
}

async function startProcess({ sampled = 0 }: Variant, args: readonly string[]): Promise<ChildProcess> {
  const sampler = { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: String(sampled) };
  const child = fork(new URL('./process.ts', import.meta.url), args, { env: environmentWith(sampler) });
  await once(child, 'message');
  return child;
}

async function ask<T>(child: ChildProcess, order: object): Promise<T> {
  child.send(order);
  const [answer] = (await once(child, 'message')) as [T];
  return answer;
}

function report(rounds: Figures[][], json: boolean): void {
  const rows = variants.map(({ name }, i) => {
    const of = (figure: keyof Figures) => median(rounds.map((round) => round[i]?.[figure] ?? 0));
    const ratio = (figure: keyof Figures) =>
      median(rounds.map((round) => (round[i]?.[figure] ?? 0) / (round[0]?.[figure] ?? 1)));
    return {
      bench: 'telemetry',
      telemetry: name,
      callsPerSecond: Math.round(of('callsPerSecond')),
      p99Ms: Math.round(of('p99Ms') * 10) / 10,
      cpuMicrosPerCall: Math.round(of('cpuMicrosPerCall')),
      wholeCpuMicrosPerCall: Math.round(of('wholeCpuMicrosPerCall')),
      rateToOff: hundredths(ratio('callsPerSecond')),
      p99ToOff: hundredths(ratio('p99Ms')),
      cpuToOff: hundredths(ratio('cpuMicrosPerCall')),
      wholeCpuToOff: hundredths(ratio('wholeCpuMicrosPerCall')),
    };
  });
  if (json) return rows.forEach((row) => console.log(JSON.stringify(row)));
  const measured = ['calls/s', 'p99 ms', 'CPU µs/call', 'with Redis'];
  const head = ['telemetry', ...measured, 'rate to off', 'p99 to off', 'CPU to off', 'with Redis'];
  console.log(renderTable([head, ...rows.map(({ bench: _bench, ...cells }) => Object.values(cells).map(String))]));
}

const hundredths = (value: number): number => Math.round(value * 100) / 100;
