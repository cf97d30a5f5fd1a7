import { Queue } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { resolveLimits } from '@callyard/shared/admission/resolve-limits';
import type { ResolvedLimit } from '@callyard/shared/admission/resolved-limit';
import { admissionBench, concurrency, keys, pool, quota, rate, type AdmissionBench } from '../support/admission.ts';

/** A way to be full after two starts. */
interface Kind {
  name: string;
  limits: ResolvedLimit[];
  /** the code of a refusal, of a kind that does not wait */
  refuses?: 'rate_limited' | 'quota_exceeded';
  /** time that makes room for one more, ms */
  turnsMs: number;
  /** room is made when a call is settled, too */
  bySettling: boolean;
}

const refuse = { refuse: true as const };
const kinds: Kind[] = [
  { name: 'a rate', limits: [rate(10, 1_000, 2)], turnsMs: 100, bySettling: false },
  { name: 'concurrency', limits: [concurrency(2)], turnsMs: 0, bySettling: true },
  { name: 'a rate and concurrency', limits: [rate(10, 1_000, 2), concurrency(2)], turnsMs: 100, bySettling: true },
  { name: 'a quota', limits: [quota(2, 1_000)], refuses: 'quota_exceeded', turnsMs: 1_000, bySettling: false },
  {
    name: 'a quota and concurrency',
    limits: [concurrency(2), quota(2, 1_000)],
    refuses: 'quota_exceeded',
    turnsMs: 1_000,
    bySettling: true,
  },
  {
    name: 'a rate that refuses',
    limits: [rate(10, 1_000, 2, refuse)],
    refuses: 'rate_limited',
    turnsMs: 100,
    bySettling: false,
  },
  {
    name: 'concurrency that refuses',
    limits: [concurrency(2, refuse)],
    refuses: 'rate_limited',
    turnsMs: 0,
    bySettling: true,
  },
  {
    name: 'all of them',
    limits: [rate(10, 1_000, 2, refuse), concurrency(2), quota(9, 1_000)],
    refuses: 'rate_limited',
    turnsMs: 100,
    bySettling: true,
  },
];

const [a, b, c, d] = keys('a', 4) as [string, string, string, string];

/** Two calls run, and no more may. */
async function full({ limits }: Kind): Promise<AdmissionBench> {
  const bench = await admissionBench(10, { ownClock: true });
  await bench.add([a, b], { limits });
  expect(await bench.pickUp()).toBe(a);
  expect(await bench.pickUp()).toBe(b);
  expect(await bench.out()).toEqual([a, b]);
  expect(await bench.parked()).toEqual([]);
  return bench;
}

/** Room for one more: by a call that ends, by time, or by both. */
async function makeRoom(bench: AdmissionBench, { bySettling, turnsMs }: Kind): Promise<void> {
  await bench.clock.set(bench.clock.now() + turnsMs);
  if (bySettling) await bench.settle(a);
  await bench.admission.pump('w1');
}

/** Everything that stands in Redis, as it stands there. */
async function dump({ redis, names }: AdmissionBench): Promise<Record<string, string | undefined>> {
  const all = (await redis.keys(`${names.tag}:*`)).toSorted();
  const entries = all.map(async (key) => [key, (await redis.dumpBuffer(key))?.toString('hex')] as const);
  return Object.fromEntries(await Promise.all(entries));
}

const remaining = async (bench: AdmissionBench) => (await bench.tell(a)).limits.map((limit) => limit.remaining);

describe.each(kinds.filter(({ refuses }) => !refuses))('$name', (kind) => {
  it('has the next call wait as a delayed job, and starts it when there is room', async () => {
    const bench = await full(kind);
    await bench.add([c, d], { limits: kind.limits });
    expect(await bench.out()).toEqual([a, b]);
    const queue = new Queue(bench.names.queue(pool), { connection: bench.redis, prefix: bench.names.bullPrefix });
    onTestFinished(() => queue.close());
    const delayed = await queue.getJobs(['delayed']);
    expect(new Set(delayed.map(({ id }) => id))).toEqual(new Set([c, d]));
    await makeRoom(bench, kind);
    expect(await bench.waiting()).toEqual([c]);
    expect(await bench.parked()).toEqual([d]);
  });
});

describe.each(kinds.filter(({ refuses }) => refuses))('$name', (kind) => {
  it('refuses the next call, says from when on it could start, and takes nothing of it', async () => {
    const bench = await full(kind);
    const before = await remaining(bench);
    await bench.add([c], { limits: kind.limits });
    const said = (await bench.said(c)) as { refused: string; afterMs?: number };
    expect(said.refused).toBe(kind.refuses);
    // Nobody knows when a call that runs will end.
    expect(said.afterMs !== undefined && said.afterMs > 0).toBe(kind.turnsMs > 0);
    expect(await bench.waiting()).toEqual([c]);
    expect(await bench.out()).toEqual([a, b]);
    await bench.pickUp();
    await bench.settle(c, false);
    expect(await remaining(bench)).toEqual(before);
    await makeRoom(bench, kind);
    await bench.add([d], { limits: kind.limits });
    expect(await bench.out()).toContain(d);
  });
});

describe.each(kinds)('$name', (kind) => {
  const { limits, refuses } = kind;

  it('takes nothing of a call that waits and is withdrawn', async () => {
    const bench = await full(kind);
    await bench.add([c], { limits });
    const before = await remaining(bench);
    await bench.withdraw(c);
    expect(await remaining(bench)).toEqual(before);
    expect(await bench.redis.exists(`${bench.names.tag}:lane:${bench.call(c).lane}`)).toBe(0);
    await makeRoom(bench, kind);
    await bench.add([d], { limits });
    expect(await bench.out()).toContain(d);
    expect(await bench.out()).not.toContain(c);
  });

  it('gets back what a call took that did not start, and the next one has it', async () => {
    const bench = await full(kind);
    await bench.settle(b, false);
    await bench.add([c, d], { limits });
    expect(await bench.out()).toEqual([a, c]);
    const said: { refused?: string } = (await bench.said(d)) ?? {};
    expect(said.refused).toBe(refuses);
  });

  it('never lets a call start at its deadline or after it', async () => {
    const bench = await full(kind);
    await bench.add([c], { limits, deadlineMs: kind.turnsMs || 50 });
    await bench.clock.set(bench.clock.now() + (kind.turnsMs || 50));
    await bench.settle(a);
    await bench.admission.pump('w1');
    expect(await bench.out()).toEqual([b]);
  });

  it('is asked without any change', async () => {
    const bench = await full(kind);
    await bench.add([c], { limits });
    const before = await dump(bench);
    await bench.tell(a);
    await bench.tell(c);
    expect(await dump(bench)).toEqual(before);
  });

  it('does not concern a call of another bucket', async () => {
    const bench = await full(kind);
    await bench.add([c], { limits });
    await bench.add([d], { limits: limits.map((limit) => ({ ...limit, bucket: `${limit.bucket}:other` })) });
    expect(await bench.out()).toEqual([a, b, d]);
  });

  it('counts a call once that is added twice', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    await bench.add([a], { limits });
    await bench.add([a], { limits, takeover: true });
    await bench.add([b, c], { limits });
    expect(await bench.out()).toEqual([a, b]);
  });
});

describe('a wait', () => {
  it('that cannot end before the deadline is refused at once, with the time after which it could', async () => {
    const bench = await full(kinds[0] as Kind);
    await bench.add([c], { limits: [rate(10, 1_000, 2)], deadlineMs: 99 });
    expect(await bench.said(c)).toMatchObject({ refused: 'rate_limited', bucket: 'r:1', afterMs: 100 });
    expect(await bench.parked()).toEqual([]);
  });

  it('that ends just before the deadline is not', async () => {
    const bench = await full(kinds[0] as Kind);
    await bench.add([c], { limits: [rate(10, 1_000, 2)], deadlineMs: 101 });
    expect(await bench.parked()).toEqual([c]);
    await bench.clock.set(bench.clock.now() + 100);
    await bench.admission.pump('w1');
    expect(await bench.waiting()).toEqual([c]);
  });
});

describe('a block', () => {
  it('holds its calls back until its end, then lets one try alone, then all', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    const { admission, clock } = bench;
    const opensAt = await admission.block('x:1', 500);
    expect(opensAt).toBe(clock.now() + 500);
    await bench.add([a, b, c]);
    await bench.add([d], { user: 'max', upstream: 'x:2' });
    expect(await bench.out()).toEqual([d]);
    await clock.set(opensAt - 1);
    expect(await admission.pump('w1')).toEqual({ at: opensAt });
    expect(await bench.out()).toEqual([d]);
    await clock.set(opensAt);
    await admission.pump('w1');
    expect(await bench.out()).toEqual([a, d]);
    await bench.pickUp();
    await bench.pickUp();
    await bench.settle(a);
    expect(await bench.out()).toEqual([b, c, d]);
  });

  it('gives the try to the next call where the first one did not start', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    const opensAt = await bench.admission.block('x:1', 500);
    await bench.add([a, b, c]);
    await bench.clock.set(opensAt);
    await bench.admission.pump('w1');
    expect(await bench.pickUp()).toBe(a);
    await bench.settle(a, false);
    expect(await bench.out()).toEqual([b]);
  });

  it('stands when a shorter one follows', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    const opensAt = await bench.admission.block('x:1', 500);
    expect(await bench.admission.block('x:1', 10)).toBe(opensAt);
  });

  it('refuses what would start after its deadline', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    await bench.admission.block('x:1', 500);
    await bench.add([a], { deadlineMs: 400 });
    expect(await bench.said(a)).toMatchObject({ refused: 'rate_limited', bucket: 'x:1', afterMs: 500 });
  });
});

describe('whom a bucket is for', () => {
  const mia = { owner: 'acme', userId: 'mia', roles: [], permissions: [] };
  const calls = {
    'another user': { tool: 't', principal: { ...mia, userId: 'max' }, args: {} },
    'a user of that name of another owner': { tool: 't', principal: { ...mia, owner: 'other' }, args: {} },
    'another tool': { tool: 'u', principal: mia, args: {} },
  };
  it.each([
    { per: ['user'], shared: ['another tool'] },
    { per: ['owner'], shared: ['another user', 'another tool'] },
    { per: ['tool'], shared: ['another user', 'a user of that name of another owner'] },
    { per: ['user', 'tool'], shared: [] },
    { per: [], shared: Object.keys(calls) },
  ] as const)('$per: shared with $shared', async ({ per, shared }) => {
    const bench = await admissionBench(10, { ownClock: true });
    const limit = { per: [...per], concurrency: 1 };
    await bench.add([a], { limits: resolveLimits([limit], { tool: 't', principal: mia, args: {} }) });
    for (const [i, [name, call]] of Object.entries(calls).entries()) {
      const [key] = keys(`b${i}-`, 1) as [string];
      await bench.add([key], { user: name, limits: resolveLimits([limit], call) });
      const isShared = (shared as readonly string[]).includes(name);
      expect(await bench.out()).toEqual(isShared ? [a] : [a, key]);
      await bench.withdraw(key);
      expect(await bench.out()).toEqual([a]);
    }
  });
});
