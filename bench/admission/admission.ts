import type { BenchOptions } from '../options.ts';
import { reporter, type Report } from './figures.ts';
import { measureBacklog } from './backlog.ts';
import { measureClasses } from './classes.ts';
import { measureCommands } from './commands.ts';
import { measureConcurrency } from './concurrency.ts';
import { measureNoisy } from './noisy.ts';
import { measureOrder } from './order.ts';
import { measureQuota } from './quota.ts';
import { measureRate } from './rate.ts';
import { measureSingleFlight } from './single-flight.ts';

/** By the number of the guarantee they are about; see docs/admission.md. */
const measurements: Record<number, (redisUrl: string, report: Report) => Promise<void>> = {
  1: measureRate,
  2: measureCommands,
  3: measureNoisy,
  4: measureOrder,
  5: measureConcurrency,
  6: measureQuota,
  7: measureBacklog,
  8: measureSingleFlight,
  9: measureClasses,
};

/** What admission guarantees, on two worker processes. */
export async function benchAdmission({ redisUrl, json, only }: BenchOptions): Promise<void> {
  const unknown = only.filter((number) => !measurements[number]);
  if (unknown.length > 0)
    throw new Error(`no guarantee ${unknown.join(', ')}; there are: ${Object.keys(measurements).join(', ')}`);
  for (const [number, measure] of Object.entries(measurements)) {
    const guarantee = Number(number);
    if (only.length > 0 && !only.includes(guarantee)) continue;
    const report = reporter(guarantee, json);
    const startedAt = performance.now();
    await measure(redisUrl, report);
    report('seconds it took to measure', (performance.now() - startedAt) / 1_000);
  }
}
