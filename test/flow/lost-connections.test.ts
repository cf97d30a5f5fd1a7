import { describe, expect, it, onTestFinished } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { principal, setup, signal, toolCall, type Callyard } from '../support/setup.ts';

const tool = { version: '1.0.0', description: 'Answers', parameters: Type.Object({}) };

/** The connections that wait for the wake-up of a job, by their ids. */
async function blocked({ redis }: Callyard): Promise<string[]> {
  const clients = (await redis.client('LIST')) as string;
  return clients
    .split('\n')
    .flatMap((line) => (line.includes('cmd=bzpopmin') ? (/\bid=(\d+)/.exec(line)?.[1] ?? '') : []));
}

describe('a worker', () => {
  it('finds a call whose wake-up is lost at its next look, also while others wait for admission', async () => {
    const yard = await setup();
    const limits = [{ per: ['user' as const], rate: { limit: 1, periodMs: 60_000 } }];
    const once = defineTool({ ...tool, name: 'once', policy: { limits }, handler: () => 'done' });
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
    const { pool } = await yard.worker([once, gated, free], { concurrency: 1 });
    const dispatcher = await yard.dispatcher();
    const leave = new AbortController();
    const waits = dispatcher.execute([toolCall('once'), toolCall('once')], { principal, signal: leave.signal });
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
