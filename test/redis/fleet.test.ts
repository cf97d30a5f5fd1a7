import { describe, expect, it } from 'vitest';
import { createFleetReader } from '@callyard/shared/fleet';
import type { Redis } from '@callyard/shared/redis';
import { defineTool, Type } from '@callyard/worker';
import { admissionBench, concurrency, keys, pool, rate } from '../support/admission.ts';
import { ownRedis } from '../support/own-redis.ts';
import { monitor } from '../support/redis-monitor.ts';
import { principal, setup, signal, toolCall } from '../support/setup.ts';
import { ended, workerProcesses } from '../support/worker-process.ts';

const holdFor = (until: Promise<void>) =>
  defineTool({
    name: 'hold',
    version: '1.0.0',
    description: 'Runs until it is let go',
    parameters: Type.Object({}),
    policy: { timeoutMs: 60_000 },
    handler: () => until,
  });

/** The clock of Redis, to the second that has begun. */
const secondOf = async (redis: Redis) => Number((await redis.time())[0]) * 1_000;

async function benchWithFleet(slots: number) {
  const bench = await admissionBench(slots, { ownClock: true });
  const fleet = createFleetReader(bench.redis, bench.names);
  await bench.redis.zadd(bench.names.pools, 1, pool);
  const read = async () => {
    const { pools } = await fleet.read(0);
    if (!pools[0]) throw new Error('no pool');
    return pools[0];
  };
  return { ...bench, fleet, read, pass: (ms: number) => bench.clock.set(bench.clock.now() + ms) };
}

describe('how the queues stand', () => {
  it('waiting calls are counted by class, with the age of the oldest', async () => {
    const { add, pass, pickUp, read } = await benchWithFleet(1);
    await add(keys('running', 1));
    await pickUp();
    await add(keys('first', 2));
    await pass(5_000);
    await add(keys('later', 1));
    await add(keys('batch', 3), { class: 'batch', user: 'max' });
    await pass(1_000);
    expect(await read()).toMatchObject({
      active: 1,
      slots: 1,
      waiting: { interactive: 3, batch: 3 },
      oldestMs: { interactive: 6_000, batch: 1_000 },
      delayed: 0,
      load: 7,
    });
  });

  it('lanes are counted by what the first of their calls waits for', async () => {
    const { add, read } = await benchWithFleet(3);
    await add(keys('r', 4), { user: 'ida', limits: [rate(1, 10_000, 1)] });
    await add(keys('c', 3), { user: 'mia', limits: [concurrency(1)], class: 'batch' });
    await add(keys('s', 3), { user: 'max' });
    const { lanes } = await read();
    const told = new Map(lanes.map(({ class: ofClass, reason, ...counts }) => [`${ofClass} ${reason}`, counts]));
    expect(told).toEqual(
      new Map([
        ['batch concurrency', { lanes: 1, calls: 2 }],
        ['interactive rate', { lanes: 1, calls: 3 }],
        ['interactive share', { lanes: 1, calls: 2 }],
      ]),
    );
  });

  it('a call that a process withdrew halfway, and died, is not the oldest that waits', async () => {
    const { add, bull, pass, read, redis } = await benchWithFleet(1);
    await add(keys('running', 1));
    await add(keys('gone', 2));
    await pass(9_000);
    await add(keys('there', 1));
    await pass(1_000);
    await redis.zrem(bull('delayed'), ...keys('gone', 2));
    await redis.del(keys('gone', 2).map(bull));
    expect(await read()).toMatchObject({ waiting: { interactive: 2 }, oldestMs: { interactive: expect.any(Number) } });
    expect(await redis.zrange(bull('').replace(/calls-.*/, `waiting:${pool}:i`), '0', '-1')).toEqual(keys('there', 1));
  });

  it.each([
    ['settled it', true],
    ['refused it', false],
  ])('a call that has waited to its deadline counts no more when its worker has %s', async (_, started) => {
    const { add, bull, comeDue, redis, settle } = await benchWithFleet(1);
    await add(keys('running', 1));
    await add(keys('late', 2));
    await comeDue('late1.0.0');
    await settle('late1.0.0', started);
    expect(await redis.zrange(bull('').replace(/calls-.*/, `waiting:${pool}:i`), '0', '-1')).toEqual(['late0.0.0']);
  });

  it('is told although Redis takes no writes', async () => {
    const { redis, names, refuseWrites } = await ownRedis();
    const since = (await secondOf(redis)) - 60_000;
    await redis.zadd(names.pools, 1, pool);
    await redis.zadd(`${names.tag}:waiting:${pool}:i`, since - 1_000_000, 'gone', since, 'there');
    await redis.zadd(names.delayed(pool), 1, 'there');
    await redis.sadd(`${names.tag}:rings`, 'r:none');
    await refuseWrites();
    const { pools } = await createFleetReader(redis, names).read(0);
    expect(pools).toMatchObject([{ pool, waiting: { interactive: 2 } }]);
    expect(pools[0]?.oldestMs.interactive).toBeGreaterThanOrEqual(60_000);
    expect(pools[0]?.oldestMs.interactive).toBeLessThan(90_000);
  });

  it('what each worker holds is estimated evenly where more run than are looked at', async () => {
    const { redis, names } = await setup();
    const workers = ['w1', 'w2', 'w3'];
    await redis.zadd(names.pools, 1, pool);
    const pipeline = redis.pipeline();
    for (const id of workers) {
      const entry = { id, pool, slots: 1_500, host: 'h', pid: 1, startedAt: 1 };
      pipeline.zadd(names.workers, Number.MAX_SAFE_INTEGER, JSON.stringify(entry));
      for (const key of keys(id, 1_000)) pipeline.lpush(names.active(pool), key).hset(names.job(pool, key), 'pb', id);
    }
    await pipeline.exec();
    const { pools } = await createFleetReader(redis, names).read(0);
    expect(pools[0]?.workers.map(({ active }) => Math.round(active / 100) * 100)).toEqual([1_000, 1_000, 1_000]);
  });

  it('of calls with large arguments few are read, the oldest first', async () => {
    const { redis, redisUrl, names } = await setup();
    const now = await secondOf(redis);
    await redis.zadd(names.pools, 1, pool);
    for (const [i, key] of keys('large', 90).entries()) {
      const envelope = {
        call: { arguments: 'x'.repeat(50_000) },
        class: 'batch',
        enqueuedAt: now - 90_000 + i * 1_000,
      };
      await redis.hset(names.job(pool, key), 'data', JSON.stringify(envelope));
      await redis.lpush(names.waiting(pool), key);
    }
    let reads = 0;
    const isRead = (line: string) => line.includes(`lua] "HGET" "${names.tag}`) && line.endsWith('"data"');
    const over = signal();
    const stop = await monitor(redisUrl, (line) => {
      if (isRead(line)) reads += 1;
      if (line.includes(`"echo" "${names.tag}"`)) over.resolve();
    });
    const { pools } = await createFleetReader(redis, names).read(0);
    await redis.echo(names.tag);
    await over.promise;
    stop();
    expect(pools).toMatchObject([{ waiting: { interactive: 0, batch: 90 } }]);
    expect(pools[0]?.oldestMs.batch).toBeGreaterThanOrEqual(90_000);
    expect(reads).toBeGreaterThan(0);
    expect(reads).toBeLessThan(20);
  });

  it('who asks a moment after another is told what that one read', async () => {
    const { add, fleet, pass } = await benchWithFleet(1);
    const waiting = async (maxAgeMs: number) => (await fleet.read(maxAgeMs)).pools[0]?.waiting.interactive;
    await add(keys('a', 2));
    expect(await waiting(5_000)).toBe(2);
    await add(keys('b', 2));
    expect(await waiting(5_000)).toBe(2);
    await pass(5_000);
    expect(await waiting(5_000)).toBe(4);
  });

  it('with fair share off, what stands in the queue is counted by class', async () => {
    const yard = await setup();
    const done = signal();
    const worker = await yard.worker([holdFor(done.promise)], { concurrency: 1 });
    const dispatcher = await yard.dispatcher({ fairShare: false, unservedMs: 60_000 });
    const ask = (count: number, ofClass: 'interactive' | 'batch') =>
      dispatcher.execute(
        Array.from({ length: count }, () => toolCall('hold')),
        { principal, class: ofClass },
      );
    const asked = [ask(2, 'interactive')];
    const read = async () => (await createFleetReader(yard.redis, yard.names).read(0)).pools[0];
    await expect.poll(async () => (await read())?.active).toBe(1);
    asked.push(ask(3, 'batch'));
    // Polled as a whole: this process is the worker, too, and not listed for a moment where it was held up.
    await expect.poll(read).toMatchObject({
      pool: worker.pool,
      tools: ['hold'],
      slots: 1,
      waiting: { interactive: 1, batch: 3 },
      dead: 0,
      load: 5,
      workers: [{ id: worker.id, slots: 1, active: 1 }],
    });
    const oldest = (await read())?.oldestMs;
    expect(oldest?.interactive).toBeGreaterThanOrEqual(oldest?.batch ?? Number.NaN);
    done.resolve();
    await Promise.all(asked);
    // A job is concluded a moment after its outcome is told.
    await expect.poll(read).toMatchObject({ active: 0, waiting: { interactive: 0, batch: 0 } });
  });

  it('the calls of a worker that is killed wait, and are counted while nobody serves them', async () => {
    const yard = await setup();
    const [worker] = await workerProcesses(yard, 1, { CALLYARD_CONCURRENCY: '2' });
    const dispatcher = await yard.dispatcher({ unservedMs: 60_000 });
    await dispatcher.waitForTools(['hold']);
    const stop = new AbortController();
    const calls = Array.from({ length: 10 }, () => toolCall('hold'));
    const asked = dispatcher.execute(calls, { principal, signal: stop.signal });
    const fleet = createFleetReader(yard.redis, yard.names);
    const read = async () => (await fleet.read(0)).pools[0];
    const full = { active: 2, waiting: { interactive: 8 }, delayed: 0, slots: 2, load: 5 };
    await expect.poll(read).toMatchObject(full);
    worker?.process.kill('SIGKILL');
    if (worker) await ended(worker);
    await expect.poll(read).toMatchObject({ workers: [], waiting: { interactive: 8 }, slots: 0, load: 8 });
    stop.abort();
    await asked;
    await expect.poll(async () => (await read())?.waiting.interactive ?? 0).toBe(0);
  });
});
