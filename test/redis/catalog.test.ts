import { Queue } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { joinCatalog, readCatalog } from '@callyard/shared/catalog';
import type { Redis } from '@callyard/shared/redis';
import { defineTool, ToolError, Type, type Tool } from '@callyard/worker';
import { ownRedis } from '../support/own-redis.ts';
import { setup, toolCall, principal, type Callyard } from '../support/setup.ts';

const tool = (name: string, version = '1.0.0', properties: Type.TProperties = {}): Tool =>
  defineTool({ name, version, description: name, parameters: Type.Object(properties), handler: () => version });

describe('the catalog', () => {
  it('lists workers with the same tools as one pool, others apart', async () => {
    const yard = await setup();
    const listedFor = { heartbeatMs: 5_000 };
    const a = await yard.worker([tool('x'), tool('y')], listedFor);
    const b = await yard.worker([tool('y'), tool('x')], listedFor);
    const other = await yard.worker([tool('x')], listedFor);
    expect(a.pool).toBe(b.pool);
    expect(other.pool).not.toBe(a.pool);
    const pools = await readCatalog(yard.redis, yard.names);
    expect(new Map(pools.map(({ pool, workers }) => [pool, workers.length]))).toEqual(
      new Map([
        [a.pool, 2],
        [other.pool, 1],
      ]),
    );
  });

  it('loses a worker that stops at once, and one that died after three missed heartbeats', async () => {
    const yard = await setup();
    const leaving = await yard.worker([tool('x')]);
    await leaving.close();
    expect(await readCatalog(yard.redis, yard.names)).toEqual([]);
    const dead = { id: 'dead', pool: 'p', slots: 1, host: 'h', pid: 1, startedAt: 0 };
    await yard.redis.set(yard.names.manifests('p'), '[]');
    await yard.redis.zadd(yard.names.workers, Date.now() - 1_000, JSON.stringify(dead));
    expect(await readCatalog(yard.redis, yard.names)).toEqual([]);
    expect(await yard.redis.zcard(yard.names.workers)).toBe(0);
  });

  it('refuses a version that a live worker serves with another schema, and names both', async () => {
    const yard = await setup();
    const first = await yard.worker([tool('x')], { heartbeatMs: 5_000 });
    const other = yard.worker([tool('x', '1.0.0', { a: Type.String() })]);
    await expect(other).rejects.toThrow(
      `tool x@1.0.0: worker ${first.id} already serves this version with another schema`,
    );
    await expect(yard.worker([tool('x', '1.1.0', { a: Type.String() })])).resolves.toBeDefined();
  });

  it('tells a running dispatcher of tools that come and go', async () => {
    const yard = await setup();
    const dispatcher = await yard.dispatcher();
    expect(dispatcher.tools()).toEqual([]);
    const worker = await yard.worker([tool('x'), tool('x', '2.0.0')], { heartbeatMs: 5_000 });
    await dispatcher.waitForTools(['x']);
    expect(dispatcher.tools().map(({ name, version }) => `${name}@${version}`)).toEqual(['x@2.0.0']);
    const ranged = await dispatcher.execute([toolCall('x')], { principal, tools: ['x@^1'] });
    expect(ranged.outcomes[0]).toMatchObject({ value: '1.0.0', tool: { version: '1.0.0' } });
    await worker.close();
    await expect.poll(() => dispatcher.tools()).toEqual([]);
  });

  it('loses a worker that stops while its heartbeat is under way', async () => {
    const { redis, names } = await setup();
    const worker = { id: 'w', pool: 'p', slots: 1, host: 'h', pid: 1, startedAt: 0 };
    let beating = () => {};
    const watched = Object.create(redis, { time: { value: () => (beating(), redis.time()) } }) as Redis;
    const onError = () => {};
    const membership = await joinCatalog({ redis: watched, names, worker, manifests: [], heartbeatMs: 1, onError });
    const left = new Promise((resolve) => (beating = () => resolve(Promise.resolve().then(membership.leave))));
    await left;
    await redis.ping();
    expect(await redis.zcard(names.workers)).toBe(0);
  });

  it('tells a worker whose heartbeat Redis refuses, as one does that is full', async () => {
    const { redis, names } = await ownRedis();
    const worker = { id: 'w', pool: 'p', slots: 1, host: 'h', pid: 1, startedAt: 0 };
    const refused: unknown[] = [];
    const onError = (error: unknown) => void refused.push(error);
    const membership = await joinCatalog({ redis, names, worker, manifests: [], heartbeatMs: 20, onError });
    await redis.config('SET', 'maxmemory', '1');
    await expect.poll(() => refused.length).toBeGreaterThan(1);
    expect(String(refused[0])).toContain('OOM');
    await redis.config('SET', 'maxmemory', '0');
    await redis.del(names.workers);
    await expect.poll(membership.isListed).toBe(true);
    await membership.leave();
  });

  it('that cannot be read is not taken for an empty one', async () => {
    const { redis, names } = await setup();
    await redis.set(names.workers, 'no list');
    await expect(readCatalog(redis, names)).rejects.toThrow('WRONGTYPE');
  });

  it('gives up waiting for tools that do not come', async () => {
    const yard = await setup();
    const dispatcher = await yard.dispatcher();
    await expect(dispatcher.waitForTools(['never'], 30)).rejects.toThrow(/timeout/i);
  });
});

const days = (count: number): number => count * 24 * 3_600_000;

describe('the queue of a pool that nobody serves any more', () => {
  /** A dead letter in a pool whose only worker has gone. */
  async function deadPool() {
    const yard = await setup();
    const broken = defineTool({
      name: 'broken',
      version: '1.0.0',
      description: 'Breaks',
      parameters: Type.Object({}),
      handler: () => Promise.reject(new ToolError('broken')),
    });
    const worker = await yard.worker([broken]);
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('broken')], { principal });
    await expect.poll(() => yard.redis.zcard(`${queueOf(yard, worker.pool)}:failed`)).toBe(1);
    await worker.close();
    const all = () => yard.redis.keys(`${queueOf(yard, worker.pool)}:*`);
    // That key of BullMQ goes by itself, soon.
    const keys = async () => (await all()).filter((key) => !key.endsWith(':stalled-check'));
    const unservedFor = (ms: number) => yard.redis.zadd(yard.names.pools, Date.now() - ms, worker.pool);
    return { yard, pool: worker.pool, letter: outcomes[0]?.key ?? '', keys, unservedFor };
  }

  const queueOf = ({ names }: Callyard, pool: string) => `${names.bullPrefix}:${names.queue(pool)}`;

  it('keeps its dead letters for 14 days', async () => {
    const { yard, pool, letter, keys, unservedFor } = await deadPool();
    const before = await keys();
    expect(before).toContain(`${queueOf(yard, pool)}:${letter}`);
    await unservedFor(days(14) - 60_000);
    await yard.worker([tool('other')]);
    expect((await keys()).toSorted()).toEqual(before.toSorted());
    expect(await yard.redis.zscore(yard.names.pools, pool)).not.toBeNull();
  });

  it('goes with all of its keys when a worker says that it lives after that', async () => {
    const { yard, pool, keys, unservedFor } = await deadPool();
    await unservedFor(days(14) + 60_000);
    await yard.worker([tool('other')]);
    expect(await keys()).toEqual([]);
    expect(await yard.redis.zscore(yard.names.pools, pool)).toBeNull();
  });

  it('goes bit by bit where it holds many jobs, whatever state they are in', async () => {
    const { yard, pool, keys, unservedFor } = await deadPool();
    const queue = new Queue(yard.names.queue(pool), {
      prefix: yard.names.bullPrefix,
      connection: { url: yard.redisUrl },
    });
    const jobs = Array.from({ length: 2_400 }, (_, i) => ({
      name: 'broken',
      data: {},
      opts: {
        jobId: `left.0.${i}`,
        ...(i % 2 === 0 ? { delay: 60_000 } : {}),
        ...(i % 3 === 0 ? { priority: 1 } : {}),
      },
    }));
    await queue.addBulk(jobs);
    await queue.close();
    await unservedFor(days(14) + 60_000);
    const before = (await keys()).length;
    const worker = await yard.worker([tool('other')], { heartbeatMs: 60_000 }); // this first one is the only one
    const after = (await keys()).length;
    expect(before - after).toBeGreaterThan(0);
    expect(after).toBeGreaterThan(1_000);
    await worker.close();
    await yard.worker([tool('other')], { heartbeatMs: 20 });
    await expect.poll(keys).toEqual([]);
  });
});
