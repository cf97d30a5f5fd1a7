import { expect } from 'vitest';
import { pool, type AdmissionBench, type Asked } from './admission.ts';
import { createModel, toleranceMs, type ModelCall } from './admission-model.ts';

interface Start {
  call: ModelCall;
  at: number;
}

/**
 * Drives the scripts and the model with the same steps, and holds each thing the scripts do against what the model says at
 * that moment. The clock stands still within a step.
 */
export async function createDriver(bench: AdmissionBench, slots: number) {
  const { admission, clock } = bench;
  const model = createModel();
  await bench.reset(slots);
  const waiting: ModelCall[] = [];
  const running: ModelCall[] = [];
  const refused: ModelCall[] = [];
  const starts: Start[] = [];
  const buckets = new Set<string>();

  const before = (call: ModelCall) =>
    waiting
      .slice(0, waiting.indexOf(call))
      .filter(({ lane, deadlineAt }) => lane === call.lane && deadlineAt > clock.now());

  function checkGrant(call: ModelCall): void {
    expect(before(call), `${call.key} before others of its lane`).toEqual([]);
    expect(model.running(), `a slot for ${call.key}`).toBeLessThan(slots);
    expect(call.deadlineAt, `${call.key} is late`).toBeGreaterThan(clock.now());
    expect(model.verdict(call, clock.now()), `grant of ${call.key}`).toEqual({ kind: 'go' });
    model.start(call, clock.now());
    starts.push({ call, at: clock.now() });
    running.push(call);
  }

  function checkRefusal(call: ModelCall, said: { refused: string; afterMs?: number }): void {
    const verdict = model.verdict(call, clock.now());
    refused.push(call);
    const codes: string[] = verdict.kind === 'refuse' ? [verdict.code] : [];
    if (model.isHopeless(call, before(call).length, clock.now())) codes.push('rate_limited');
    expect(codes, `refusal of ${call.key}`).toContain(said.refused);
    expect(said.afterMs ?? 1).toBeGreaterThan(0);
  }

  /** What the scripts have let go, in their order: every worker picks up at once. */
  async function observe(): Promise<void> {
    for (const key of await bench.waiting()) {
      const call = waiting.find((one) => one.key === key) as ModelCall;
      const said = (await bench.said(key)) as { refused: string } | { granted: string } | undefined;
      if (said && 'refused' in said) checkRefusal(call, said);
      else checkGrant(call);
      waiting.splice(waiting.indexOf(call), 1);
      await bench.pickUp();
    }
    for (const call of refused.splice(0)) await settle(call, false);
  }

  async function settle(call: ModelCall, started: boolean): Promise<void> {
    model.settle(call, started, clock.now());
    if (running.includes(call)) running.splice(running.indexOf(call), 1);
    if (!started) forget(call);
    await bench.settle(call.key, started);
    await observe();
  }

  /** A start that was none. */
  function forget(call: ModelCall): void {
    const index = starts.findIndex((start) => start.call === call);
    if (index >= 0) starts.splice(index, 1);
  }

  /** Until there is nothing to do now; resolves with when there is again. */
  async function pump(left = 10): Promise<number> {
    expect(left, 'times the pump has come and not ended').toBeGreaterThan(0);
    const due = await admission.pump('w1');
    await observe();
    if (due === 'other') throw new Error('another has the pump');
    if (due === 'idle') return Number.POSITIVE_INFINITY;
    if (due.at > clock.now()) return due.at;
    await clock.set(clock.now() + 0.001); // it tells its time rounded to microseconds
    return pump(left - 1);
  }

  /** Nothing that may start waits, and nothing that could start later is forgotten. */
  function checkNobodyIsForgotten(due: number): void {
    if (model.running() >= slots) return;
    for (const call of waiting.filter((one) => before(one).length === 0 && one.deadlineAt > clock.now())) {
      const verdict = model.verdict(call, clock.now(), -toleranceMs);
      // What is to be refused by now learns of it when the lane is looked at again.
      expect(verdict.kind, `${call.key} although there is room`).not.toBe('go');
      if (verdict.kind === 'wait' && verdict.at !== undefined && !model.isTried(call.upstream)) {
        expect(due, `the pump comes for ${call.key}`).toBeLessThanOrEqual(verdict.at + toleranceMs);
      }
    }
  }

  /** What is kept for whoever asks how much waits: each call that does, and each bucket that lanes wait for. */
  async function checkIndex(): Promise<void> {
    const { redis, names } = bench;
    const of = (letter: string) => redis.zrange(`${names.tag}:waiting:${pool}:${letter}`, '0', '-1');
    const indexed = [...(await of('i')), ...(await of('b'))];
    // One whose deadline has come stands there until its turn, or until its worker has settled it.
    const inTime = indexed.filter((key) => bench.envelope(key).deadlineAt > clock.now());
    const due = waiting.filter(({ deadlineAt }) => deadlineAt > clock.now()).map(({ key }) => key);
    expect(inTime.toSorted(), 'calls in the index').toEqual(due.toSorted());
    const rings = new Set(await redis.smembers(`${names.tag}:rings`));
    for (const bucket of buckets) {
      const isThere = (await redis.exists(`${names.tag}:bucket:${bucket}:lanes`)) === 1;
      expect(rings.has(bucket), `a ring of ${bucket}`).toBe(isThere);
    }
  }

  /** BullMQ gives a delayed job to a worker when it is due, here at its deadline. */
  async function expire(): Promise<void> {
    for (const call of waiting.filter(({ deadlineAt }) => deadlineAt <= clock.now())) {
      if (!waiting.includes(call)) continue;
      await bench.comeDue(call.key);
      waiting.splice(waiting.indexOf(call), 1);
      await settle(call, false);
    }
  }

  async function step(act: () => Promise<unknown>): Promise<void> {
    await act();
    await observe();
    driver.due = await pump();
    checkNobodyIsForgotten(driver.due);
    await checkIndex();
  }

  const driver = {
    waiting,
    running,
    starts,
    /** when the pump comes next */
    due: Number.POSITIVE_INFINITY,
    enter: (keys: readonly string[], asked: Asked) =>
      step(async () => {
        await bench.add(keys, asked);
        for (const { key, lane: about, limits, deadlineAt } of keys.map(bench.envelope)) {
          const upstream = about?.upstream ?? '';
          for (const bucket of [upstream, ...limits.map((limit) => limit.bucket)]) buckets.add(bucket);
          waiting.push({ key, lane: bench.call(key).lane, upstream, limits, deadlineAt });
        }
      }),
    settle: (call: ModelCall, started: boolean) => step(() => settle(call, started)),
    withdraw: (call: ModelCall) =>
      step(async () => {
        waiting.splice(waiting.indexOf(call), 1);
        await bench.withdraw(call.key);
      }),
    /** Its worker dies, and its job is gone. */
    lose: (call: ModelCall) =>
      step(async () => {
        await bench.lose(call.key);
        running.splice(running.indexOf(call), 1);
        model.settle(call, true, clock.now());
        await admission.sweep('w1', 600_000);
      }),
    block: (bucket: string, ms: number) =>
      step(async () => {
        model.block(bucket, ms, clock.now());
        await admission.block(bucket, ms);
      }),
    sweep: () => step(() => admission.sweep('w1', 600_000)),
    /** Time passes; calls whose deadline has come come to a worker before the pump does, or after it. */
    async pass(at: number, pumpFirst: boolean): Promise<void> {
      await clock.set(Math.ceil(at * 1_000) / 1_000);
      if (pumpFirst) await step(() => Promise.resolve());
      await step(expire);
    },
  };
  return driver;
}

export type Driver = Awaited<ReturnType<typeof createDriver>>;
