import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createDispatcher } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { percentile } from '../../packages/cli/src/replay/summary.ts';
import type { Report } from './figures.ts';
import { principal, question } from './order.ts';

const runs = 200;
const { owner } = principal;

/** From `submit` to the first event that another process has read, and to the one that the model is asked. */
export async function firstEvent(redisUrl: string, report: Report): Promise<void> {
  const prefix = `bench-events-${process.pid}`;
  const worker = fork(new URL('../turns/process.ts', import.meta.url), ['worker', 'callyard', redisUrl, prefix]);
  await once(worker, 'message');
  const driver = fork(new URL('./dispatcher.ts', import.meta.url), [redisUrl, prefix]);
  await once(driver, 'message');
  const log = createLogger({ name: 'bench', level: 'error' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, maxRuns: 0 });
  await dispatcher.waitForTools(['echo']);

  const first: number[] = [];
  const asked: number[] = [];
  for (let run = 0; run < runs; run++) {
    const at = performance.now();
    const { runId } = await dispatcher.submit({ messages: [question], principal, model: 'scripted', events: true });
    for await (const { id, type } of dispatcher.events(runId, { owner })) {
      if (id === 1) first.push(performance.now() - at);
      if (type === 'model.started' && asked.length <= run) asked.push(performance.now() - at);
    }
  }
  const told = (times: number[], part: number) =>
    percentile(
      times.toSorted((a, b) => a - b),
      part,
    );
  report('submit to first event, p50 ms', told(first, 0.5), { p95Ms: Math.round(told(first, 0.95) * 10) / 10, runs });
  report('submit to the model asked, p50 ms', told(asked, 0.5), { p95Ms: Math.round(told(asked, 0.95) * 10) / 10 });
  await dispatcher.close();
  worker.disconnect();
  driver.disconnect();
}
