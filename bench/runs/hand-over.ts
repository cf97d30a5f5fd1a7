import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createDispatcher } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { createNames, type Names } from '@callyard/shared/names';
import { Redis } from 'ioredis';
import type { Report } from './figures.ts';
import { principal, question } from './order.ts';

const runs = 200;

/** A dispatcher that holds 200 runs is asked to stop: how long until it is gone, and until another holds them all. */
export async function handOver(redisUrl: string, report: Report): Promise<void> {
  const prefix = `bench-hand-over-${process.pid}`;
  const names = createNames(prefix);
  const redis = new Redis(redisUrl);
  const worker = fork(new URL('./waiting-worker.ts', import.meta.url), [redisUrl, prefix, '50']);
  await once(worker, 'message');
  const leaving = await startDispatcher(redisUrl, prefix);
  const log = createLogger({ name: 'bench', level: 'error' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, maxRuns: 0 });
  await dispatcher.waitForTools(['slow']);
  const asked = { messages: [question], principal, model: 'scripted', timeoutMs: 600_000 };
  const submitted = await Promise.all(Array.from({ length: runs }, () => dispatcher.submit(asked)));
  const runIds = submitted.map(({ runId }) => runId);
  await until(async () => (await holdsOf(redis, names, runIds)).every((holds) => holds === 1));
  const staying = await startDispatcher(redisUrl, prefix);

  const at = performance.now();
  leaving.kill('SIGTERM');
  const gone = once(leaving, 'exit').then(() => performance.now() - at);
  await until(async () => (await holdsOf(redis, names, runIds)).every((holds) => holds === 2));
  report('SIGTERM until another dispatcher holds all runs, ms', performance.now() - at, { runs });
  report('SIGTERM until the process is gone, ms', await gone);
  await dispatcher.close();
  staying.disconnect();
  worker.disconnect();
  redis.disconnect();
}

async function startDispatcher(redisUrl: string, prefix: string): Promise<ChildProcess> {
  const args = [redisUrl, prefix, String(runs), '600000'];
  const child = fork(new URL('./waiting-dispatcher.ts', import.meta.url), args);
  await once(child, 'message');
  return child;
}

/** How often each has been taken over. */
async function holdsOf(redis: Redis, names: Names, runIds: readonly string[]): Promise<number[]> {
  const pipeline = redis.pipeline();
  for (const runId of runIds) pipeline.hget(names.run(runId), 'fence');
  return ((await pipeline.exec()) ?? []).map(([, fence]) => Number(fence));
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(10);
}
