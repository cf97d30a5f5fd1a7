import { Queue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { admissionBench, keys, pool, type AdmissionBench } from '../support/admission.ts';

const [a, b] = keys('a', 2) as [string, string];

interface Side {
  bench: AdmissionBench;
  queue: Queue;
}

async function side(slots: number): Promise<Side> {
  const bench = await admissionBench(slots, { ownClock: true });
  const queue = new Queue(bench.names.queue(pool), {
    connection: bench.redis,
    prefix: bench.names.bullPrefix,
    streams: { events: { maxLen: 1_000 } },
  });
  await queue.waitUntilReady();
  onTestFinished(() => queue.close());
  return { bench, queue };
}

/** What BullMQ keeps of the queue: events apart, which nobody here reads, and without what admission said. */
async function stateOf({ bench: { redis, bull } }: Side): Promise<Record<string, unknown>> {
  const found = (await redis.keys(bull('*'))).toSorted();
  const entries = found.map(async (key) => [key.slice(bull('').length), await read(redis, key)] as const);
  const { events: _, ...state } = Object.fromEntries(await Promise.all(entries));
  return state;
}

async function read(redis: AdmissionBench['redis'], key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'hash': {
      const { progress: _, timestamp: __, data: ___, ...fields } = await redis.hgetall(key);
      return fields;
    }
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'zset':
      return redis.zrange(key, '0', '-1', 'WITHSCORES');
    default:
      return redis.type(key);
  }
}

/** A call whose job is delayed, and the marker taken by a worker that has seen so. */
async function delayed({ bench }: Side): Promise<void> {
  await bench.admission.block('x:1', 1_000);
  await bench.add([a]);
  expect(await bench.parked()).toEqual([a]);
  await bench.redis.del(bench.bull('marker'));
}

type Prepare = (one: Side) => Promise<unknown>;

const circumstances: [string, Prepare][] = [
  ['an empty queue', () => Promise.resolve()],
  ['a queue in which others wait', ({ bench }) => bench.redis.lpush(bench.bull('wait'), 'other')],
  ['a paused queue', ({ queue }) => queue.pause()],
  [
    'a queue that runs as many as it may',
    async ({ bench, queue }) => {
      await queue.setGlobalConcurrency(1);
      await bench.redis.lpush(bench.bull('active'), 'other');
    },
  ],
];

describe('a grant moves a job as job.promote() does', () => {
  it.each(circumstances)('%s', async (_name, prepare) => {
    const [ours, bulls] = [await side(10), await side(10)];
    for (const one of [ours, bulls]) {
      await delayed(one);
      await prepare(one);
    }
    await ours.bench.clock.set(ours.bench.clock.now() + 1_000);
    await ours.bench.admission.pump('w1');
    await (await bulls.queue.getJob(a))?.promote();
    expect(await ours.bench.said(a)).toBeDefined();
    expect(await stateOf(ours)).toEqual(await stateOf(bulls));
  });
});

describe('a call that may not start is parked as a job that was added with a delay', () => {
  it('but for the marker, which tells a worker to look', async () => {
    const [ours, bulls] = [await side(0), await side(0)];
    await ours.bench.add([a], { deadlineMs: 60_000 });
    const job = (await ours.queue.getJob(a)) as { name: string; data: unknown };
    const due = ours.bench.envelope(a).deadlineAt;
    const timestamp = due - 60_000;
    await bulls.queue.add(job.name, job.data, { jobId: a, delay: 60_000, timestamp });
    const { marker: ourMarker, [a]: ourJob, ...ourState } = await stateOf(ours);
    const { marker, [a]: bullsJob, ...bullsState } = await stateOf(bulls);
    expect(ourState).toEqual(bullsState);
    expect(ourJob).toMatchObject({ delay: (bullsJob as { delay: string }).delay });
    expect(ourMarker).toEqual(['0', '0']);
    expect(marker).toEqual(['1', String(due)]);
  });

  it('and comes to a worker in the order of deadlines', async () => {
    const { bench, queue } = await side(0);
    await bench.add([a], { deadlineMs: 60_000 });
    await bench.add([b], { deadlineMs: 50_000 });
    expect(await bench.parked()).toEqual([b, a]);
    const counts = await queue.getJobCounts('wait', 'delayed');
    expect(counts).toEqual({ wait: 0, delayed: 2 });
  });

  it('and can be promoted and removed by those who work on the queue, without a trace in admission', async () => {
    const { bench, queue } = await side(0);
    await bench.add([a, b]);
    await (await queue.getJob(a))?.promote();
    await (await queue.getJob(b))?.remove();
    expect(await bench.waiting()).toEqual([a]);
    await bench.setSlots(5);
    expect(await bench.waiting()).toEqual([a]);
    expect(await bench.out()).toEqual([]);
    expect(await bench.redis.keys(`${bench.names.tag}:lane:*`)).toEqual([]);
  });
});
