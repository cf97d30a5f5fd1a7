import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createDispatcher } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { createWorker, defineTool, Type } from '@callyard/worker';
import { startLocalRedis } from '../../packages/cli/src/local-redis/index.ts';
import { principal, quick, signal, toolCall } from '../support/setup.ts';

/** A Redis of its own that keeps what it was told, so that it can be stopped and started again. */
async function ownRedis() {
  const dataDir = await mkdtemp(join(tmpdir(), 'callyard-test-'));
  onTestFinished(() => rm(dataDir, { recursive: true, force: true }));
  const first = await startLocalRedis({ dataDir, appendOnly: true });
  const port = Number(new URL(first.url).port);
  let current = first;
  onTestFinished(() => current.stop());
  return {
    url: first.url,
    stop: () => current.stop(),
    async start() {
      current = await startLocalRedis({ dataDir, appendOnly: true, port });
    },
  };
}

describe('Redis gone in the middle', () => {
  it('holds calls up and loses none', async () => {
    const redis = await ownRedis();
    const logged: { msg?: string; event?: string }[] = [];
    const lost = signal();
    const destination = {
      write(line: string) {
        const entry = JSON.parse(line) as { msg?: string };
        logged.push(entry);
        if (entry.msg === 'Redis is out of reach; trying again') lost.resolve();
      },
    };
    const log = createLogger({ name: 'test', destination });
    const allStarted = signal();
    const mayEnd = signal();
    let starts = 0;
    const hold = defineTool({
      name: 'hold',
      version: '1.0.0',
      description: 'Ends when it is let go',
      parameters: Type.Object({}),
      async handler() {
        starts += 1;
        if (starts === 5) allStarted.resolve();
        await mayEnd.promise;
        return 'through';
      },
    });
    const worker = await createWorker({ ...quick, redisUrl: redis.url, log, tools: [hold], concurrency: 5 });
    const dispatcher = await createDispatcher({ ...quick, redisUrl: redis.url, log });
    onTestFinished(async () => {
      await dispatcher.close();
      await worker.close();
    });
    const calls = Array.from({ length: 10 }, () => toolCall('hold'));
    const running = dispatcher.execute(calls, { principal });
    await allStarted.promise;
    await redis.stop();
    await lost.promise;
    mayEnd.resolve(); // the first five end while there is nobody to tell
    await redis.start();
    const { outcomes } = await running;
    expect(outcomes.map(({ value, attempts }) => [value, attempts])).toEqual(
      Array.from({ length: 10 }, () => ['through', 1]),
    );
    expect(logged.some(({ msg }) => msg === 'Redis is back')).toBe(true);
    expect(logged.filter(({ event }) => event === 'worker.bullmq')).toEqual([]);
  });

  it('is said clearly when it was never there, without the password', async () => {
    const log = createLogger({ name: 'test', level: 'silent' });
    const starting = createDispatcher({ redisUrl: 'redis://user:hunter2@127.0.0.1:1', log });
    await expect(starting).rejects.toThrow(/^cannot reach Redis at redis:\/\/\*\*\*@127\.0\.0\.1:1 .*set REDIS_URL/);
  });
});

describe('a Redis that evicts', () => {
  it('is refused by name of its policy', async () => {
    const redis = await ownRedis();
    const { Redis } = await import('ioredis');
    const client = new Redis(redis.url);
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    client.disconnect();
    const log = createLogger({ name: 'test', level: 'silent' });
    await expect(createDispatcher({ redisUrl: redis.url, log })).rejects.toThrow(
      /maxmemory-policy allkeys-lru.*noeviction/,
    );
  });
});
