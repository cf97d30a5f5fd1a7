import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { createNames } from '@callyard/shared/names';
import { Redis } from 'ioredis';
import type { Report } from './figures.ts';
import { principal, question } from './order.ts';

const runs = 10_000;
/** Before them, so that what is made once is not counted. */
const warmUps = 2_000;
const slots = 50;
const maxRuns = 1_000;
const submitsAtOnce = 100;
const { owner } = principal;

/** 10,000 runs that wait for a slow tool: what each takes in their dispatcher and in Redis, and how they come back. */
export async function waiting(redisUrl: string, report: Report): Promise<void> {
  const prefix = `bench-waiting-${process.pid}`;
  const redis = new Redis(redisUrl);
  const worker = fork(new URL('./waiting-worker.ts', import.meta.url), [redisUrl, prefix, String(slots)]);
  await once(worker, 'message');
  const script = new URL('./waiting-dispatcher.ts', import.meta.url);
  const driver = fork(script, [redisUrl, prefix, String(maxRuns), '500'], { execArgv: ['--expose-gc'] });
  await once(driver, 'message');
  const log = createLogger({ name: 'bench', level: 'error' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, maxRuns: 0 });
  await dispatcher.waitForTools(['slow']);

  const warm = await submitAll(dispatcher, warmUps);
  await reached(warmUps, () => parked(redis, prefix));
  const before = { heap: await heapOf(driver), redis: await memoryOf(redis) };
  const runIds = [...warm, ...(await submitAll(dispatcher, runs))];
  await reached(warmUps + runs, () => parked(redis, prefix));
  const during = { heap: await heapOf(driver), redis: await memoryOf(redis) };
  report('runs that wait', runs);
  report('heap of the dispatcher per waiting run, bytes', (during.heap - before.heap) / runs);
  report('Redis per waiting run with its call, bytes', (during.redis - before.redis) / runs);

  const startedAt = performance.now();
  worker.send('let go');
  const ends = await Promise.all(runIds.map((runId) => dispatcher.wait(runId, { owner })));
  report('runs back and completed, per second', (ends.length / (performance.now() - startedAt)) * 1_000, {
    completed: ends.filter(({ state }) => state === 'completed').length,
  });
  await dispatcher.close();
  worker.disconnect();
  driver.disconnect();
  redis.disconnect();
}

async function submitAll(dispatcher: Dispatcher, count: number): Promise<string[]> {
  const runIds: string[] = [];
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const options = { messages: [question], principal, model: 'scripted', timeoutMs: 600_000 };
      runIds.push((await dispatcher.submit(options)).runId);
    }
  };
  await Promise.all(Array.from({ length: submitsAtOnce }, lane));
  return runIds;
}

/** Parked runs are those whose job BullMQ has put away. */
const parked = (redis: Redis, prefix: string): Promise<number> =>
  redis.zcard(`${createNames(prefix).tag}:${createNames(prefix).runsQueue}:delayed`);

async function reached(wanted: number, count: () => Promise<number>): Promise<void> {
  while ((await count()) < wanted) await delay(100);
}

async function heapOf(child: ChildProcess): Promise<number> {
  child.send('heap');
  const [bytes] = (await once(child, 'message')) as [number];
  return bytes;
}

async function memoryOf(redis: Redis): Promise<number> {
  return Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0);
}
