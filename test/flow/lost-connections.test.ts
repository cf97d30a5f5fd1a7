import { once } from 'node:events';
import { describe, expect, inject, it, onTestFinished } from 'vitest';
import { defineTool, Type, type ToolContext } from '@callyard/worker';
import { monitor } from '../support/redis-monitor.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { modelSaying, principal, says, setup, signal, toolCall, type Callyard } from '../support/setup.ts';

const tool = { version: '1.0.0', description: 'Answers', parameters: Type.Object({}) };

/** The connection of that name that waits for the wake-up of a job, by its id. */
async function blocked({ redis }: Callyard, name: string): Promise<string | undefined> {
  const clients = ((await redis.client('LIST')) as string).split('\n');
  const found = clients.find(
    (line) => line.includes(name) && line.includes('cmd=bzpopmin') && line.includes('flags=b'),
  );
  return /\bid=(\d+)/.exec(found ?? '')?.[1];
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

  it('looks for calls every second, as a wake-up may be lost, also while others wait for admission', async () => {
    const yard = await setup();
    const limits = [{ per: ['user' as const], rate: { limit: 1, periodMs: 60_000 } }];
    const rare = defineTool({ ...tool, name: 'rare', policy: { limits }, handler: () => 'done' });
    const { pool } = await yard.worker([rare]);
    const queue = `${yard.names.bullPrefix}:${yard.names.queue(pool)}`;
    const dispatcher = await yard.dispatcher();
    const leave = new AbortController();
    const waits = dispatcher.execute([toolCall('rare'), toolCall('rare')], { principal, signal: leave.signal });
    await expect.poll(() => yard.redis.zcard(`${queue}:delayed`)).toBe(1);

    const timeouts: number[] = [];
    const stop = await monitor(yard.redisUrl, (line) => {
      const [fetch, timeout] = line.split(`"${queue}:marker" `);
      if (fetch?.toLowerCase().endsWith('"bzpopmin" ')) timeouts.push(Number(timeout?.replaceAll('"', '')));
    });
    onTestFinished(stop);
    await expect.poll(() => timeouts.length).toBeGreaterThan(1);
    expect(Math.max(...timeouts)).toBeLessThanOrEqual(1);
    leave.abort();
    await waits;
  });

  it('closes while a connection of its is about to be made again', async () => {
    const yard = await setup();
    const worker = await yard.worker([defineTool({ ...tool, name: 'free', handler: () => 'done' })]);
    let id: string | undefined;
    await expect.poll(async () => (id = await blocked(yard, worker.id))).toBeDefined();
    await yard.redis.client('KILL', 'ID', id ?? '');
    await worker.close();
    expect(await worker.stopped).toBe('closed');
  });
});
