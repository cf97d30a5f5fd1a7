import { once } from 'node:events';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { defineTool, Type, type ToolContext } from '@callyard/worker';
import { redisProxy } from '../support/redis-proxy.ts';
import { modelSaying, principal, says, setup, signal, toolCall, type Callyard } from '../support/setup.ts';

const tool = { version: '1.0.0', description: 'Answers', parameters: Type.Object({}) };

/** The connections that wait for the wake-up of a job, by their ids. */
async function blocked({ redis }: Callyard): Promise<string[]> {
  const clients = (await redis.client('LIST')) as string;
  return clients
    .split('\n')
    .flatMap((line) => (line.includes('cmd=bzpopmin') ? (/\bid=(\d+)/.exec(line)?.[1] ?? '') : []));
}

describe('a dispatcher', () => {
  it('stops although Redis is out of reach', async () => {
    const proxy = await redisProxy(inject('redisUrl'));
    const yard = await setup();
    const dispatcher = await yard.dispatcher({ redisUrl: proxy.url, models: [modelSaying(says('Done.'))] });
    proxy.dieAfter(1);
    await proxy.cut;
    await dispatcher.close();
    expect(yard.logged.some(({ event }) => event === 'dispatcher.stopped')).toBe(true);
  });
});

describe('a worker', () => {
  it('stops although Redis is out of reach, and another one runs what it held', async () => {
    const proxy = await redisProxy(inject('redisUrl'));
    const yard = await setup();
    const begun = signal();
    let starts = 0;
    const held = defineTool({
      ...tool,
      name: 'held',
      async handler(_args: object, { signal: abort }: ToolContext) {
        starts += 1;
        begun.resolve();
        if (starts === 1) await once(abort, 'abort');
        return 'done';
      },
    });
    const worker = await yard.worker([held], { redisUrl: proxy.url, lockMs: 1_000, stalledCheckMs: 200 });
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const running = dispatcher.execute([toolCall('held')], { principal });
    await begun.promise;
    proxy.dieAfter(1);
    await proxy.cut;
    await worker.close();
    expect(await worker.stopped).toBe('closed');
    await yard.worker([held], { lockMs: 1_000, stalledCheckMs: 200 });
    expect((await running).outcomes).toMatchObject([{ status: 'completed', value: 'done' }]);
  });

  it('finds a call whose wake-up is lost at its next look, also while others wait for admission', async () => {
    const yard = await setup();
    const limits = [{ per: ['user' as const], rate: { limit: 1, periodMs: 60_000 } }];
    const rare = defineTool({ ...tool, name: 'rare', policy: { limits }, handler: () => 'done' });
    const [begun, gate] = [signal(), signal()];
    const gated = defineTool({
      ...tool,
      name: 'gated',
      async handler() {
        begun.resolve();
        await gate.promise;
      },
    });
    const free = defineTool({ ...tool, name: 'free', handler: () => 'done' });
    const { pool } = await yard.worker([rare, gated, free], { concurrency: 1 });
    const dispatcher = await yard.dispatcher();
    const leave = new AbortController();
    const waits = dispatcher.execute([toolCall('rare'), toolCall('rare')], { principal, signal: leave.signal });
    await expect.poll(() => yard.redis.zcard(`${yard.names.bullPrefix}:${yard.names.queue(pool)}:delayed`)).toBe(1);

    const blocks = dispatcher.execute([toolCall('gated')], { principal });
    await begun.promise;
    const thief = yard.redis.duplicate(); // whoever blocks first is served first, and the worker is busy
    onTestFinished(() => thief.disconnect());
    const stolen = thief.bzpopmin(`${yard.names.bullPrefix}:${yard.names.queue(pool)}:marker`, 0);
    await expect.poll(async () => (await blocked(yard)).length).toBe(1);
    gate.resolve();
    await blocks;
    await expect.poll(async () => (await blocked(yard)).length).toBe(2);

    const { outcomes } = await dispatcher.execute([toolCall('free')], { principal, timeoutMs: 5_000 });
    await stolen;
    expect(outcomes).toMatchObject([{ status: 'completed' }]);
    leave.abort();
    await waits;
  });

  it('closes while a connection of its is about to be made again', async () => {
    const yard = await setup();
    const worker = await yard.worker([defineTool({ ...tool, name: 'free', handler: () => 'done' })]);
    await expect.poll(async () => (await blocked(yard)).length).toBe(1);
    const [id = ''] = await blocked(yard);
    await yard.redis.client('KILL', 'ID', id);
    await worker.close();
    expect(await worker.stopped).toBe('closed');
  });
});
