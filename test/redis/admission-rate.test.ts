import { describe, expect, it } from 'vitest';
import { admissionBench, keys, rate } from '../support/admission.ts';

describe('the pump', () => {
  it('comes again for the next of a lane while the one it let go still runs', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    const { admission, clock } = bench;
    await bench.add(keys('a', 4), { limits: [rate(10, 1_000, 1)] });
    const start = clock.now();
    for (const nth of [1, 2, 3]) {
      await clock.set(start + nth * 100);
      const due = await admission.pump('w1');
      expect(await bench.out()).toHaveLength(nth + 1);
      expect(due).toEqual(nth < 3 ? { at: start + (nth + 1) * 100 } : 'idle');
    }
  });
});

describe('a rate', () => {
  it('keeps to burst + rate × T when a start is taken back after others that lived on the time it took', async () => {
    const bench = await admissionBench(10, { ownClock: true });
    const { admission, clock } = bench;
    const limits = [rate(10, 1_000, 2)];
    const start = clock.now();
    const [a, b, c, d] = keys('a', 4) as [string, string, string, string];
    await bench.add([a], { limits });
    await bench.pickUp();
    await clock.set(start + 50);
    await bench.add([b], { limits });
    await clock.set(start + 60);
    await bench.settle(a, false);
    await bench.add([c, d], { limits });
    expect(await bench.out()).toEqual([b, c]);
    // b at 50 and c at 60: a third within 100 ms of b would be one too many.
    await clock.set(start + 149);
    await admission.pump('w1');
    expect(await bench.out()).toEqual([b, c]);
    await clock.set(start + 160);
    await admission.pump('w1');
    expect(await bench.out()).toEqual([b, c, d]);
  });

  it('gives back all that calls took which were granted together and did not start', async () => {
    const bench = await admissionBench(20, { ownClock: true });
    const limits = [rate(10, 1_000, 10)];
    const all = keys('a', 10);
    await bench.add(all, { limits });
    for (const key of all) expect(await bench.pickUp()).toBe(key);
    for (const key of all) await bench.settle(key, false);
    await bench.add(keys('b', 11), { limits });
    expect(await bench.out()).toEqual(keys('b', 10));
  });

  it('gives nothing back to a bucket that has been idle since, however much was given back before', async () => {
    const bench = await admissionBench(20, { ownClock: true });
    const limits = [rate(10, 1_000, 2)];
    const [first] = keys('0-', 1) as [string];
    await bench.add([first], { limits });
    await bench.pickUp();
    for (const key of keys('a', 20)) {
      await bench.add([key], { limits });
      await bench.pickUp();
      await bench.settle(key, false);
    }
    const [early] = keys('b', 1) as [string];
    await bench.add([early], { limits });
    await bench.pickUp();
    await bench.clock.set(bench.clock.now() + 250);
    await bench.add(keys('c', 2), { limits });
    await bench.settle(early, false);
    await bench.add(keys('d', 1), { limits });
    expect(await bench.out()).toEqual([first, ...keys('c', 2)]);
  });

  it('does not count calls whose deadline is over when it says that a call cannot start in time', async () => {
    const bench = await admissionBench(1, { ownClock: true });
    const limits = [rate(10, 1_000, 1)];
    const [first] = keys('a', 1) as [string];
    await bench.add([first]);
    const late = keys('b', 3);
    await bench.add(late, { limits, deadlineMs: 250 });
    await bench.clock.set(bench.clock.now() + 300);
    for (const key of late) await bench.comeDue(key);
    for (const key of late) await bench.settle(key, false);
    const [next] = keys('c', 1) as [string];
    await bench.add([next], { limits, deadlineMs: 250 });
    expect(await bench.said(next)).toBeUndefined();
    await bench.pickUp();
    await bench.settle(first);
    expect(await bench.out()).toEqual([next]);
  });
});
