import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { ResolvedLimit } from '@callyard/shared/admission/resolved-limit';
import {
  admissionBench,
  concurrency,
  keys,
  quota,
  rate,
  type AdmissionBench,
  type Asked,
} from '../support/admission.ts';
import { createDriver, type Driver } from '../support/admission-driver.ts';

const many = fc.integer({ min: 1, max: 5 });

interface LimitPlan {
  /** of one user: a bucket for each */
  each: boolean;
  refuse: boolean;
  cost: number;
  limit: ResolvedLimit;
}

const limitPlan: fc.Arbitrary<LimitPlan> = fc.record({
  each: fc.boolean(),
  refuse: fc.constantFrom(false, false, false, true),
  cost: fc.constantFrom(1, 1, 2, 3),
  limit: fc.oneof(
    fc.tuple(many, fc.constantFrom(30, 100, 1_000), many).map(([n, periodMs, burst]) => rate(n, periodMs, burst)),
    many.map((n) => concurrency(n)),
    fc.tuple(many, fc.constantFrom(100, 1_000)).map(([n, windowMs]) => quota(n, windowMs)),
  ),
});

/** Which limits calls have: indexes into the plans. */
const shapes = fc.array(fc.uniqueArray(fc.nat({ max: 3 }), { maxLength: 3 }), { minLength: 1, maxLength: 3 });
const plans = fc.array(limitPlan, { minLength: 4, maxLength: 4 });

/** ms, or as far as the pump means to sleep */
type Pause = number | 'to due' | 'before due';

const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('enter' as const),
      user: fc.constantFrom('mia', 'max', 'ida'),
      shape: fc.nat({ max: 2 }),
      count: fc.integer({ min: 1, max: 4 }),
      deadlineMs: fc.constantFrom(40, 300, 2_000, 20_000),
      batch: fc.boolean(),
      weight: fc.constantFrom(1, 4),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('settle' as const), nth: fc.nat({ max: 20 }), started: fc.boolean() }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('pass' as const),
      ms: fc.constantFrom<Pause>('to due', 'before due', 3, 20, 100, 700),
      pumpFirst: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('block' as const), ms: fc.constantFrom(10, 200, 3_000) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('withdraw' as const), nth: fc.nat({ max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('lose' as const), nth: fc.nat({ max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const) }) },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface World {
  bench: AdmissionBench;
  driver: Driver;
  plans: LimitPlan[];
  shapes: number[][];
  entered: number;
}

function limitsOf({ plans: all, shapes: some }: World, shape: number, user: string): ResolvedLimit[] {
  return (some[shape % some.length] ?? []).map((index) => {
    const { each, refuse, cost, limit } = all[index] as LimitPlan;
    const bucket = `${limit.bucket[0]}:${index}${each ? `:${user}` : ''}`;
    const counted = 'concurrency' in limit ? 1 : cost;
    return { ...limit, bucket, cost: counted, ...(refuse ? { refuse: true as const } : {}) };
  });
}

const nthOf = <T>(list: readonly T[], nth: number): T | undefined => list[nth % Math.max(1, list.length)];

/** The moment at which the pump means to come, and the one just before it, are where the scripts must be exact. */
function whenPassed({ driver, bench }: World, ms: Pause): number {
  const now = bench.clock.now();
  if (typeof ms === 'number') return now + ms;
  if (!Number.isFinite(driver.due)) return now + 1;
  return ms === 'to due' ? driver.due : Math.max(now, driver.due - 0.5);
}

async function take(world: World, one: Step): Promise<void> {
  const { driver } = world;
  switch (one.do) {
    case 'enter': {
      const { user, shape, count, deadlineMs, batch, weight } = one;
      const limits = limitsOf(world, shape, user);
      const asked: Asked = { user, limits, deadlineMs, weight, class: batch ? 'batch' : 'interactive' };
      return driver.enter(keys(`k${world.entered++}-`, count), asked);
    }
    case 'settle': {
      const call = nthOf(driver.running, one.nth);
      return call && driver.settle(call, one.started);
    }
    case 'withdraw': {
      const call = nthOf(driver.waiting, one.nth);
      return call && driver.withdraw(call);
    }
    case 'lose': {
      const call = nthOf(driver.running, one.nth);
      return call && driver.lose(call);
    }
    case 'pass':
      return driver.pass(whenPassed(world, one.ms), one.pumpFirst);
    case 'block':
      return driver.block('x:1', one.ms);
    case 'sweep':
      return driver.sweep();
  }
}

/** All that runs ends, and what waits starts or sees its deadline. */
async function drain({ driver, bench }: World): Promise<void> {
  for (let left = 1_000; driver.running.length > 0 || driver.waiting.length > 0; left -= 1) {
    expect(left, 'rounds to drain').toBeGreaterThan(0);
    const call = driver.running[0];
    if (call) await driver.settle(call, true);
    else {
      const deadline = Math.min(...driver.waiting.map(({ deadlineAt }) => deadlineAt));
      await driver.pass(Math.max(bench.clock.now() + 1, Math.min(driver.due, deadline)), false);
    }
  }
  for (let left = 1_000; Number.isFinite(driver.due); left -= 1) {
    expect(left, 'rounds to come to rest').toBeGreaterThan(0);
    await driver.pass(driver.due, false);
  }
}

/** Never more than burst + rate × T in any time T, of the starts that were some. */
function checkWindows({ starts }: Driver): void {
  const byBucket = new Map<string, { at: number; cost: number; burst: number; everyMs: number }[]>();
  for (const { call, at } of starts) {
    for (const limit of call.limits) {
      if (!('rate' in limit)) continue;
      const everyMs = limit.rate.periodMs / limit.rate.limit;
      const list = byBucket.get(limit.bucket) ?? [];
      byBucket.set(limit.bucket, [...list, { at, cost: limit.cost, burst: limit.rate.burst, everyMs }]);
    }
  }
  for (const list of byBucket.values()) {
    for (const [i, first] of list.entries()) {
      let taken = 0;
      for (const { at, cost } of list.slice(i)) {
        taken += cost;
        expect(taken).toBeLessThanOrEqual(first.burst + (at - first.at) / first.everyMs + 0.01);
      }
    }
  }
}

/** Of admission nothing is left that does not go by itself, and nobody is counted. */
async function checkNothingIsLeft({ bench: { redis, names, bull } }: World): Promise<void> {
  const all = await redis.keys(`${names.tag}:*`);
  const part = (key: string) => key.slice(names.tag.length + 1);
  const known = [names.workers, `${names.tag}:test-clock`];
  const own = all.filter((key) => !known.includes(key) && !key.startsWith(bull('')));
  expect(own.filter((key) => /^(lane|ready|out|waiting):|^(later|rings)$|:lanes$|^bucket:c:/.test(part(key)))).toEqual(
    [],
  );
  for (const key of own) expect(await redis.ttl(key), `TTL of ${key}`).toBeGreaterThan(0);
  expect(await redis.zcard(bull('delayed'))).toBe(0);
}

it('the scripts decide what a plain model decides, over random limits and schedules', async () => {
  const bench = await admissionBench(1, { ownClock: true });
  const property = fc.asyncProperty(
    fc.integer({ min: 1, max: 6 }),
    plans,
    shapes,
    fc.array(step, { minLength: 5, maxLength: 40, size: 'max' }),
    async (slots, limitPlans, callShapes, steps) => {
      const driver = await createDriver(bench, slots);
      const world: World = { bench, driver, plans: limitPlans, shapes: callShapes, entered: 0 };
      for (const one of steps) await take(world, one);
      await drain(world);
      checkWindows(driver);
      await checkNothingIsLeft(world);
    },
  );
  await expect(fc.assert(property, { numRuns: 300 })).resolves.toBeUndefined();
}, 120_000);
