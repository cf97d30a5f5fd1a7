import { describe, expect, it, onTestFinished } from 'vitest';
import type { LimitRule } from '@callyard/shared/admission/limit-rules';
import type { Outcome } from '@callyard/shared/call';
import { defineTool, ToolError, Type, type PolicyInput } from '@callyard/worker';
import { monitor } from '../support/redis-monitor.ts';
import { principal, setup, signal, toolCall } from '../support/setup.ts';

type Limits = NonNullable<PolicyInput['limits']>;

/** A tool whose handler takes `ms`, two workers and a dispatcher. */
async function yardWith(limits: Limits, rules: readonly LimitRule[] = []) {
  const yard = await setup();
  const starts: { at: number; user: string }[] = [];
  let running = 0;
  let most = 0;
  const limited = defineTool({
    name: 'limited',
    version: '1.0.0',
    description: 'Limited',
    parameters: Type.Object({ items: Type.Optional(Type.Array(Type.Integer())) }),
    policy: { limits },
    async handler(_args, ctx) {
      starts.push({ at: performance.now(), user: ctx.principal.userId });
      most = Math.max(most, (running += 1));
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      return 'done';
    },
  });
  await yard.worker([limited], { concurrency: 5 });
  await yard.worker([limited], { concurrency: 5 });
  const dispatcher = await yard.dispatcher({ limits: rules });
  const call = (count: number, who: object = {}, more: object = {}) =>
    dispatcher
      .execute(
        Array.from({ length: count }, () => toolCall('limited')),
        { principal: { ...principal, ...who }, ...more },
      )
      .then(({ outcomes }) => outcomes);
  return { yard, dispatcher, starts, call, most: () => most };
}

const codes = (outcomes: readonly Outcome[]) => outcomes.map(({ error, status }) => error?.code ?? status);
const count = (outcomes: readonly Outcome[], what: string) => codes(outcomes).filter((code) => code === what).length;
const waited = ({ waits }: Outcome) => waits.reduce((sum, { ms }) => sum + ms, 0);
const reasons = (outcomes: readonly Outcome[]) =>
  new Set(outcomes.flatMap(({ waits }) => waits.map(({ reason }) => reason)));

describe('a rate', () => {
  const rate: Limits = [{ per: ['user'], rate: { limit: 10, periodMs: 200, burst: 2 } }];

  it('is kept over all workers, for each user alone; what waits spends no attempt and says what it waited for', async () => {
    const { call } = await yardWith(rate);
    const [mia, ben] = await Promise.all([call(12), call(12, { userId: 'ben' })]);
    for (const outcomes of [mia, ben]) {
      expect(codes(outcomes)).toEqual(Array.from({ length: 12 }, () => 'completed'));
      expect(outcomes.every(({ attempts }) => attempts === 1)).toBe(true);
      expect(reasons(outcomes)).toContain('rate');
      // Two at once, then one each 20 ms: the last starts 200 ms after the first was granted, by Redis's clock.
      expect(Math.max(...outcomes.map(waited))).toBeGreaterThan(190);
    }
  });

  it('refuses at once what could only start after the deadline, with the time after which it could', async () => {
    const { call } = await yardWith([{ per: ['user'], rate: { limit: 1, periodMs: 60_000 } }]);
    const outcomes = await call(3, {}, { timeoutMs: 5_000 });
    expect(codes(outcomes)).toEqual(['completed', 'rate_limited', 'rate_limited']);
    expect(outcomes[1]?.error?.retryAfterMs).toBeGreaterThan(50_000);
    expect(outcomes[1]?.error?.retryAfterMs).toBeLessThanOrEqual(60_000);
    expect(outcomes[1]).toMatchObject({ status: 'refused', attempts: 0 });
  });

  it('refuses instead of waiting where it is told to', async () => {
    const { call } = await yardWith([{ per: ['user'], rate: { limit: 2, periodMs: 60_000 }, onLimit: 'refuse' }]);
    expect(codes(await call(4))).toEqual(['completed', 'completed', 'rate_limited', 'rate_limited']);
  });

  it('counts what a call holds by its arguments', async () => {
    const { dispatcher } = await yardWith([
      {
        per: ['user'],
        rate: { limit: 5, periodMs: 60_000 },
        cost: { pointer: '/items', per: 'item' },
        onLimit: 'refuse',
      },
    ]);
    const items = (length: number) => toolCall('limited', { items: Array.from({ length }, (_, i) => i) });
    const { outcomes } = await dispatcher.execute([items(3), items(3), items(2), items(1), items(1_000)], {
      principal,
    });
    expect(codes(outcomes)).toEqual(['completed', 'rate_limited', 'completed', 'rate_limited', 'rate_limited']);
    expect(outcomes[4]?.error).toMatchObject({
      message: 'The call counts as 1000; at most 5 are allowed at once per user.',
      suggestion: 'Send it in smaller parts.',
    });
  });

  it('is not used up by a call with wrong arguments', async () => {
    const { dispatcher, call } = await yardWith([
      { per: ['user'], rate: { limit: 1, periodMs: 60_000 }, onLimit: 'refuse' },
    ]);
    const wrong = await dispatcher.execute([toolCall('limited', { items: 'no' })], { principal });
    expect(codes(wrong.outcomes)).toEqual(['invalid_arguments']);
    expect(codes(await call(1))).toEqual(['completed']);
  });
});

describe('a call that was granted', () => {
  it('keeps its grant when it had to wait before: it is not asked for again', async () => {
    const yard = await setup();
    const stumbling = defineTool({
      name: 'stumbling',
      version: '1.0.0',
      description: 'Fails once',
      parameters: Type.Object({}),
      policy: {
        limits: [{ per: ['user'], rate: { limit: 1, periodMs: 150 } }],
        retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 1 },
      },
      handler(_args, { attempt }) {
        if (attempt === 1) throw new ToolError('stumbled', { retry: 'backoff' });
        return 'done';
      },
    });
    const worker = await yard.worker([stumbling]);
    const dispatcher = await yard.dispatcher();
    const books: { command: string; at: number }[] = [];
    const stop = await monitor(yard.redisUrl, (line) => {
      const [, seconds, command = ''] = /^\+(\S+) .*?"(HSET|HDEL)"/.exec(line) ?? [];
      if (line.includes(`"${command}" "${yard.names.tag}:out:${worker.pool}"`))
        books.push({ command, at: Number(seconds) * 1_000 });
    });
    onTestFinished(stop);
    const { outcomes } = await dispatcher.execute([toolCall('stumbling')], { principal });
    expect(outcomes[0]).toMatchObject({ status: 'completed', attempts: 2 });
    // The call ends with holding nothing.
    const isOver = () =>
      books.filter(({ command }) => command === 'HDEL').length >= 2 && books.at(-1)?.command === 'HDEL';
    await expect.poll(isOver).toBe(true);
    const grants = books.filter(({ command }) => command === 'HSET').map(({ at }) => at);
    expect(grants.length).toBeGreaterThanOrEqual(2); // one for each attempt
    // The rate puts 150 ms between two attempts. A worker that is late asks anew, but not before its grant is 100 ms old.
    expect((grants.at(-1) ?? 0) - (grants.at(-2) ?? 0)).toBeGreaterThan(50);
  });
});

describe('concurrency', () => {
  it('is never more than allowed, for each user, and the slots it leaves go to others', async () => {
    const { call, most } = await yardWith([{ per: ['user'], concurrency: 2 }]);
    const outcomes = await Promise.all([call(30), call(1, { userId: 'ben' })]);
    expect(count(outcomes.flat(), 'completed')).toBe(31);
    expect(reasons(outcomes[0])).toContain('concurrency');
    expect(most()).toBeLessThanOrEqual(3);
  });

  it('of a failed and of a cancelled call is free again', async () => {
    const yard = await setup();
    const held = signal();
    const started = signal();
    const tool = defineTool({
      name: 'tool',
      version: '1.0.0',
      description: 'Fails, or runs until it is stopped',
      parameters: Type.Object({ fails: Type.Boolean() }),
      policy: { limits: [{ per: ['user'], concurrency: 1 }] },
      handler({ fails }) {
        if (fails) throw new Error('broken');
        started.resolve();
        return held.promise;
      },
    });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const run = async (fails: boolean, abort?: AbortSignal) =>
      codes(
        (await dispatcher.execute([toolCall('tool', { fails })], { principal, ...(abort && { signal: abort }) }))
          .outcomes,
      );
    expect(await run(true)).toEqual(['tool_error']);
    const abort = new AbortController();
    const cancelled = run(false, abort.signal);
    await started.promise;
    const next = run(true);
    abort.abort();
    expect(await cancelled).toEqual(['cancelled']);
    held.resolve(); // a handler that was cancelled holds its lease until it ends
    expect(await next).toEqual(['tool_error']);
    const isFree = { running: 0, waiting: 0, tools: [{ startsInMs: 0 }] };
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject(isFree); // a job ends a moment after its outcome
  });
});

describe('a quota', () => {
  it('is exact, whoever asks, and refuses with what is left and when the window turns', async () => {
    // A window that turns while this runs would let ten more start.
    const windowMs = 31 * 24 * 3_600_000;
    const { yard, call, starts } = await yardWith([{ per: ['owner'], quota: { limit: 10, windowMs } }]);
    const other = await yard.dispatcher();
    const calls = Array.from({ length: 20 }, () => toolCall('limited'));
    const [here, there] = await Promise.all([
      call(20),
      other.execute(calls, { principal: { owner: 'acme', userId: 'ben' } }).then(({ outcomes }) => outcomes),
    ]);
    expect(count([...here, ...there], 'completed')).toBe(10);
    expect(count([...here, ...there], 'quota_exceeded')).toBe(30);
    expect(starts).toHaveLength(10);
    const refused = here.find(({ status }) => status === 'refused');
    expect(refused?.error).toMatchObject({ details: { per: ['owner'], left: 0 } });
    expect(refused?.error?.message).toMatch(/^The quota of 10 in 2678400 s for each owner has 0 left/);
    expect(refused?.error?.retryAfterMs).toBeLessThanOrEqual(windowMs);
    expect(codes(await call(1, { owner: 'other' }))).toEqual(['completed']);
  });
});

describe('limits of configuration', () => {
  it('apply to whom they are for, beside those of the tool; the strictest decides', async () => {
    const refuse = { onLimit: 'refuse' as const, per: ['user' as const] };
    const { call } = await yardWith(
      [{ ...refuse, rate: { limit: 4, periodMs: 60_000 } }],
      [
        { ...refuse, rate: { limit: 2, periodMs: 60_000 }, for: { role: 'free' } },
        { ...refuse, rate: { limit: 1, periodMs: 60_000 }, for: { user: 'eve' } },
      ],
    );
    const started = async (who: object) => count(await call(6, who), 'completed');
    expect(await started({ userId: 'mia' })).toBe(4);
    expect(await started({ userId: 'ben', roles: ['free'] })).toBe(2);
    expect(await started({ userId: 'eve', roles: ['free'] })).toBe(1);
  });

  it('that cannot be meant stop a dispatcher from starting', async () => {
    const yard = await setup();
    const limits = [{ per: ['user'], rate: { limit: 0, periodMs: 1_000 } }] as never;
    await expect(yard.dispatcher({ limits })).rejects.toThrow('/limits/0/rate/limit: must be >= 1, got 0');
    await expect(yard.dispatcher({ weights: { free: -1 } })).rejects.toThrow('/weights/free: must be > 0, got -1');
  });
});

describe('calls that wait', () => {
  it('are BullMQ jobs that its own tools show, hold nothing, and go when they are cancelled', async () => {
    const { yard, dispatcher, call } = await yardWith([{ per: ['user'], rate: { limit: 1, periodMs: 60_000 } }]);
    const abort = new AbortController();
    await call(1);
    const waiting = call(3, {}, { timeoutMs: 3_600_000, signal: abort.signal });
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject({ running: 0, waiting: 3 });
    const delayed = (await yard.redis.keys(`${yard.names.bullPrefix}:*:delayed`))[0] ?? '';
    expect(await yard.redis.zcard(delayed)).toBe(3);
    abort.abort();
    expect(codes(await waiting)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject({ waiting: 0 });
    await expect.poll(() => yard.redis.zcard(delayed)).toBe(0);
    const lanes = await yard.redis.keys(`${yard.names.tag}:lane:*`);
    expect(lanes.filter((key) => !key.endsWith(':about'))).toEqual([]); // what it was about goes when its turn comes
  });
});
