import { describe, expect, it, onTestFinished } from 'vitest';
import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { readCatalog } from '@callyard/shared/catalog';
import { createWorker, defineTool, Type } from '@callyard/worker';
import { startLocalRedis } from '../../packages/cli/src/local-redis/index.ts';
import { principal, quick, setup, signal, toolCall } from '../support/setup.ts';

const limits = [
  { per: ['user' as const], concurrency: 2 },
  { per: ['user' as const], rate: { limit: 200, periodMs: 1_000, burst: 4 } },
];

/** A tool under limits that ends when it is let go, and how many of it run. */
function limitedTool() {
  let mayEnd = signal();
  let [running, most] = [0, 0];
  const tool = defineTool({
    name: 'limited',
    version: '1.0.0',
    description: 'Runs until it is let go',
    parameters: Type.Object({}),
    policy: { limits, timeoutMs: 60_000 },
    async handler(_, ctx) {
      running += 1;
      most = Math.max(most, running);
      const aborted = new Promise<void>((resolve) => ctx.signal.addEventListener('abort', () => resolve()));
      await Promise.race([mayEnd.promise, aborted]);
      running -= 1;
      return 'done';
    },
  });
  return {
    tool,
    running: () => running,
    most: () => most,
    letGo: () => mayEnd.resolve(),
    hold: () => (mayEnd = signal()),
  };
}

const ask = async (dispatcher: Dispatcher, count: number, timeoutMs = 60_000) => {
  const calls = Array.from({ length: count }, () => toolCall('limited'));
  const { outcomes } = await dispatcher.execute(calls, { principal, timeoutMs });
  return outcomes.map(({ status, error }) => error?.code ?? status);
};

const completed = (count: number): string[] => Array.from({ length: count }, () => 'completed');

describe('a Redis that has forgotten everything', () => {
  it('is told of the tools again by the heartbeats of workers, and serves new calls under their limits', async () => {
    const yard = await setup();
    const { tool, running, most, letGo } = limitedTool();
    const worker = await yard.worker([tool], { heartbeatMs: 200, lockMs: 1_000, stalledCheckMs: 300 });
    const dispatcher = await yard.dispatcher();
    const before = ask(dispatcher, 6, 1_000);
    await expect.poll(running).toBe(2);
    await yard.redis.del(await yard.redis.keys(`${yard.names.tag}:*`));
    await expect.poll(() => readCatalog(yard.redis, yard.names)).toHaveLength(1);
    await dispatcher.waitForTools(['limited']);
    await expect.poll(running).toBe(0); // what ran has lost its lock
    const after = ask(dispatcher, 20);
    await expect.poll(running).toBe(2);
    letGo();
    expect(await after).toEqual(completed(20));
    expect(most()).toBe(2);
    expect(await before).toEqual(Array.from({ length: 6 }, () => 'deadline_exceeded'));
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject({ running: 0, waiting: 0 });
    await worker.close();
    expect(await yard.redis.zcard(yard.names.workers)).toBe(0);
  });

  it('as it keeps nothing and was started again, has lost the calls under way, and is served as before', async () => {
    const first = await startLocalRedis({});
    let current = first;
    onTestFinished(() => current.stop());
    const log = createLogger({ name: 'test', level: 'silent' });
    const { tool, running, letGo } = limitedTool();
    const worker = await createWorker({ ...quick, redisUrl: first.url, log, tools: [tool] });
    const dispatcher = await createDispatcher({ ...quick, redisUrl: first.url, log });
    onTestFinished(async () => {
      await dispatcher.close();
      await worker.close();
    });
    await dispatcher.waitForTools(['limited']);
    const before = ask(dispatcher, 6);
    await expect.poll(running).toBe(2);
    await first.stop();
    current = await startLocalRedis({ port: Number(new URL(first.url).port) });
    expect(await before).toEqual(Array.from({ length: 6 }, () => 'lost'));
    letGo();
    await dispatcher.waitForTools(['limited'], 5_000);
    expect(await ask(dispatcher, 20)).toEqual(completed(20));
  });
});
