import { describe, expect, it, vi } from 'vitest';
import type { Dispatcher } from '@callyard/dispatcher';
import { parked, payments, waitingFor } from '../support/approvals.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { enqueued, gated, page } from '../support/why.ts';
import { workerProcesses } from '../support/worker-process.ts';

const rateOfOne = { limits: [{ per: ['user' as const], rate: { limit: 1, periodMs: 60_000 } }] };

/** Calls that somebody waits for until `stop`. */
function executing(dispatcher: Dispatcher, ...names: string[]) {
  const stop = new AbortController();
  const calls = names.map((name) => toolCall(name, { amount: 7 }));
  const ended = dispatcher.execute(calls, { principal, signal: stop.signal });
  return {
    ended,
    async stop() {
      stop.abort();
      return (await ended).outcomes;
    },
  };
}

/** The waits of a story add up to no more than it took. */
async function timesOf(dispatcher: Dispatcher, key: string) {
  const why = await dispatcher.why(key);
  if (why.kind !== 'call' || !why.end) throw new Error(`has not ended: ${why.kind}`);
  const { totalMs = 0, waitedMs } = why.end;
  return { totalMs, waitedMs, restMs: totalMs - waitedMs };
}

describe('a call that its dispatcher ended', () => {
  it('tells that nobody decided on it, since when it was asked, and how long it took', async () => {
    const yard = await setup();
    const { pay } = payments({ policy: { approval: { requires: ['role:boss'], timeoutMs: 60_000 } } });
    const worker = await yard.worker([pay]);
    const dispatcher = await yard.dispatcher();
    const askedAt = performance.now();
    const { stop } = executing(dispatcher, 'pay');
    const [waiting] = await waitingFor(dispatcher);
    await parked(yard, worker.pool, 1);
    const parkedAfterMs = performance.now() - askedAt;
    const [outcome] = await stop();
    expect(outcome).toMatchObject({ settledBy: 'dispatcher', worker: worker.id });
    const text = await page(dispatcher, waiting?.key ?? '');
    expect(text).toMatch(/waited [\d.]+ m?s for a worker to take it\nwaited [\d.]+ m?s for a person to approve it\n/);
    expect(text).toMatch(/nobody decided on it: a person with role:boss was asked \d{4}-\S+Z\n/);
    expect(text).toMatch(new RegExp(`last picked up by ${worker.id}\ncancelled[^\n]+\ntook [\\d.]+ m?s`));
    const { totalMs, restMs } = await timesOf(dispatcher, waiting?.key ?? '');
    expect(totalMs).toBeGreaterThan(0);
    expect(restMs).toBeGreaterThanOrEqual(0);
    expect(restMs, 'what its worker took to put it away').toBeLessThanOrEqual(parkedAfterMs + 1);
  });

  it('tells which limit it waited for in its lane', async () => {
    const yard = await setup();
    const slow = gated(rateOfOne);
    await yard.worker([slow.tool]);
    const dispatcher = await yard.dispatcher();
    const { stop } = executing(dispatcher, 'gated', 'gated');
    await slow.begun;
    const [, key = ''] = await enqueued(yard, 2);
    await expect.poll(() => page(dispatcher, key)).toContain('waits in its lane');
    await stop();
    const text = await page(dispatcher, key);
    expect(text).toMatch(/waited [\d.]+ m?s for a rate per user, bucket r:\w+\ncancelled[^\n]+\ntook [\d.]+ m?s\n/);
    const { restMs } = await timesOf(dispatcher, key);
    expect(restMs).toBe(0);
    slow.open();
  });

  it('tells that it ran meanwhile, on which worker and for how long', async () => {
    const yard = await setup();
    const slow = gated();
    const worker = await yard.worker([slow.tool], { stuckAfterMs: 20_000 });
    const dispatcher = await yard.dispatcher();
    const askedAt = performance.now();
    const begunAt = slow.begun.then(() => performance.now());
    const [outcome] = (await dispatcher.execute([toolCall('gated')], { principal, timeoutMs: 1_500 })).outcomes;
    expect(outcome).toMatchObject({ settledBy: 'dispatcher', attempts: 1 });
    const text = await page(dispatcher, outcome?.key ?? '');
    expect(text).toMatch(
      new RegExp(
        `for a worker to take it\nlast picked up by ${worker.id}\nfailed, deadline_exceeded: [^\n]+\ntook [\\d.]+ s: `,
      ),
    );
    const ranMs = 1_500 - ((await begunAt) - askedAt);
    // Its worker has a clock of its own, and timers come up to 1 ms early.
    expect((await timesOf(dispatcher, outcome?.key ?? '')).restMs).toBeGreaterThan(ranMs - 10);
    slow.open();
  });

  it('tells of the worker that died with it, and that nobody came after', async () => {
    const yard = await setup();
    const starts = await watchStarts(yard);
    const [worker] = await workerProcesses(yard, 1);
    const dispatcher = await yard.dispatcher({ unservedMs: 1_500 });
    const ended = dispatcher.execute([toolCall('long_nap_first')], { principal, timeoutMs: 60_000 });
    await starts.reach(1);
    worker?.process.kill('SIGKILL');
    const [outcome] = (await ended).outcomes;
    expect(outcome).toMatchObject({ error: { code: 'tool_unavailable' }, settledBy: 'dispatcher', lost: 1 });
    const text = await page(dispatcher, outcome?.key ?? '');
    expect(text).toMatch(
      /waited .+ for somebody to notice that its worker was gone\nwaited .+ for a worker that serves/,
    );
    expect(text).toMatch(/lost 1 worker on its way\nlast picked up by \S+\nrefused, tool_unavailable/);
    const { totalMs, restMs } = await timesOf(dispatcher, outcome?.key ?? '');
    expect(totalMs).toBeGreaterThanOrEqual(1_500);
    expect(restMs).toBeLessThan(10);
    starts.stop();
  });
});

describe('a call that runs', () => {
  it('tells what it has waited for', async () => {
    const yard = await setup();
    const slow = gated({ limits: [{ per: ['user'], rate: { limit: 5, periodMs: 1_000, burst: 1 } }] });
    const worker = await yard.worker([slow.tool]);
    const dispatcher = await yard.dispatcher();
    const { ended } = executing(dispatcher, 'gated', 'gated');
    const [, key = ''] = await enqueued(yard, 2);
    await expect
      .poll(() => page(dispatcher, key))
      .toMatch(
        new RegExp(
          `waited [\\d.]+ m?s for a rate per user, bucket r:\\w+\nwaited [\\d.]+ m?s for a worker to take it\nruns for [\\d.]+ m?s on ${worker.id}, which lives`,
        ),
      );
    slow.open();
    await ended;
  });

  it('does so for as long as the clock of Redis says, whatever that of this machine does', async () => {
    const yard = await setup();
    const slow = gated();
    await yard.worker([slow.tool]);
    const dispatcher = await yard.dispatcher();
    const { ended } = executing(dispatcher, 'gated');
    await slow.begun;
    const [key = ''] = await enqueued(yard, 1);
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 600_000 });
    const text = await page(dispatcher, key).finally(() => vi.useRealTimers());
    expect(text).toMatch(/runs for [\d.]+ m?s on/);
    slow.open();
    await ended;
  });
});

/** A call that waits in its lane, behind another that runs. */
async function waitingInLane() {
  const yard = await setup();
  const slow = gated(rateOfOne);
  const { pool } = await yard.worker([slow.tool]);
  const dispatcher = await yard.dispatcher();
  const { stop } = executing(dispatcher, 'gated', 'gated');
  const [, key = ''] = await enqueued(yard, 2);
  await expect.poll(() => page(dispatcher, key)).toContain('waits in its lane');
  return { yard, dispatcher, slow, stop, key, pool };
}

describe('a job that cannot be read', () => {
  it.each([
    ['{"v":2,"key":"x"}', 'its envelope has version 2, which is newer'],
    ['no JSON', 'envelope: must be object'],
    ['{"v":1}', 'envelope: must have required properties'],
  ])('is told as what it is: %s', async (data, why) => {
    const { yard, dispatcher, slow, stop, key, pool } = await waitingInLane();
    const before = await yard.redis.hget(yard.names.job(pool, key), 'data');
    await yard.redis.hset(yard.names.job(pool, key), 'data', data);
    const text = await page(dispatcher, key);
    expect(text).toContain(`${key}: there is a job in pool ${pool}, and it cannot be read: ${why}`);
    await yard.redis.hset(yard.names.job(pool, key), 'data', before ?? '');
    await stop();
    slow.open();
  });

  it('keeps nobody from ending its call', async () => {
    const { yard, slow, stop, key, pool } = await waitingInLane();
    await yard.redis.hset(yard.names.job(pool, key), { data: 'no JSON', progress: 'none either' });
    expect((await stop())[1]).toMatchObject({ status: 'cancelled', waits: [] });
    slow.open();
  });
});
