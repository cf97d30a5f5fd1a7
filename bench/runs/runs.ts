import type { BenchOptions } from '../options.ts';
import { cost } from './cost.ts';
import { firstEvent } from './first-event.ts';
import { handOver } from './hand-over.ts';
import { reporter } from './figures.ts';
import { waiting } from './waiting.ts';

/** What durability costs. */
export async function benchRuns({ redisUrl, runs, json }: BenchOptions): Promise<void> {
  const report = reporter(json);
  await firstEvent(redisUrl, report);
  await handOver(redisUrl, report);
  await cost(redisUrl, runs, report);
  await waiting(redisUrl, report);
}
