import { describe, expect, it } from 'vitest';
import { admissionBench, concurrency, keys, quota, rate } from '../support/admission.ts';

describe('admission', () => {
  it('lets calls start at once while there is room, without parking them', async () => {
    const bench = await admissionBench(4);
    const abc = keys('a', 3);
    await bench.add(abc);
    expect(await bench.waiting()).toEqual(abc);
    expect(await bench.out()).toEqual(abc);
    expect(await bench.parked()).toEqual([]);
  });

  it('parks what finds no slot as delayed jobs due at their deadline, and lets it go in order as slots come free', async () => {
    const bench = await admissionBench(2);
    const all = keys('a', 5);
    await bench.add(all);
    expect(await bench.waiting()).toEqual(all.slice(0, 2));
    expect((await bench.parked()).toSorted()).toEqual(all.slice(2));
    for (const key of all) {
      expect(await bench.pickUp()).toBe(key);
      await bench.settle(key);
    }
    expect(await bench.out()).toEqual([]);
    expect(await bench.parked()).toEqual([]);
    expect(await bench.redis.keys(`${bench.names.tag}:lane:*`)).toEqual([]);
  });

  it('grants no more than the burst at once, and the rest when its time has come', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    await bench.add(keys('a', 5), { limits: [rate(10, 1_000, 2)] });
    expect(await bench.waiting()).toHaveLength(2);
    expect(await bench.admission.pump('w1')).toEqual({ at: bench.clock.now() + 100 });
  });

  it('holds a concurrency limit until the call is settled', async () => {
    const bench = await admissionBench(10);
    const all = keys('a', 3);
    await bench.add(all, { limits: [concurrency(1)] });
    for (const key of all) {
      expect(await bench.out()).toEqual([key]);
      await bench.pickUp();
      await bench.settle(key);
    }
    expect(await bench.out()).toEqual([]);
  });

  it('refuses past a quota and says what is left and when the window turns', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    const all = keys('a', 3);
    await bench.add(all, { limits: [quota(2, 60_000)] });
    expect(await bench.out()).toEqual(all.slice(0, 2));
    expect(await bench.said(all[2] as string)).toMatchObject({ refused: 'quota_exceeded', left: 0 });
  });
});

describe('a user who has not asked for a while', () => {
  it.each([
    ['for a slot', 1, []],
    ['for a limit that all share', 100, [concurrency(1)]],
  ])('goes before all who keep asking %s, however many they are', async (_what, slots, limits) => {
    const bench = await admissionBench(slots);
    for (let i = 0; i < 8; i += 1) await bench.add(keys(`noisy${i}`, 10), { user: `noisy${i}`, limits });
    const serveOne = async (): Promise<string> => {
      const key = await bench.pickUp();
      await bench.settle(key);
      return key;
    };
    for (let i = 0; i < 9; i += 1) await serveOne(); // in the first round all are new
    for (let i = 0; i < 12; i += 1) {
      for (let started = 0; started < 3; started += 1) await serveOne();
      const [quiet = ''] = keys(`quiet${i}`, 1);
      await bench.add([quiet], { user: `quiet${i}`, limits });
      await serveOne(); // had been granted before
      expect(await serveOne()).toBe(quiet);
    }
  });
});
