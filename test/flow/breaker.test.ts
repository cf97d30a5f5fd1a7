import { describe, expect, it } from 'vitest';
import { CallError } from '@callyard/shared/failure';
import { defineTool, ToolError, Type, type PolicyInput } from '@callyard/worker';
import { principal, setup, signal, toolCall, type Callyard } from '../support/setup.ts';

const broken = () => {
  throw new Error('the service is down');
};

/** A tool behind which a test puts whatever it wants, and a count of how often it is asked. */
function behind(policy: PolicyInput, first: () => unknown = broken) {
  let runs = 0;
  let answer = first;
  const tool = defineTool({
    name: 'service',
    version: '1.0.0',
    description: 'Asks a service',
    parameters: Type.Object({ n: Type.Optional(Type.Integer()) }),
    policy: { retry: { attempts: 1 }, ...policy },
    handler: () => {
      runs += 1;
      return answer();
    },
  });
  return { tool, runs: () => runs, becomes: (next: () => unknown) => void (answer = next) };
}

async function dispatcherOf(yard: Callyard) {
  const dispatcher = await yard.dispatcher();
  const call = async (count = 1, timeoutMs = 20_000) => {
    const calls = Array.from({ length: count }, () => toolCall('service'));
    return (await dispatcher.execute(calls, { principal, timeoutMs })).outcomes;
  };
  const codes = async (count = 1) => (await call(count)).map(({ status, error }) => error?.code ?? status);
  const codesInTurn = async (count: number) => {
    const seen: string[] = [];
    for (let i = 0; i < count; i++) seen.push(...(await codes()));
    return seen;
  };
  return { dispatcher, call, codes, codesInTurn };
}

/** Long enough for a test to look, short enough to wait for. */
const halfOpenAfterMs = 400;
const long = 60_000;

describe('a circuit', () => {
  it('opens after so many failures in a row, and refuses without running the tool or spending an attempt', async () => {
    const yard = await setup();
    const { tool, runs } = behind({ breaker: { failures: 3, halfOpenAfterMs: long } });
    await yard.worker([tool]);
    const { call, codesInTurn } = await dispatcherOf(yard);
    expect(await codesInTurn(3)).toEqual(['tool_error', 'tool_error', 'tool_error']);
    const [refused] = await call();
    expect(refused).toMatchObject({ status: 'refused', error: { code: 'circuit_open' }, attempts: 0 });
    const { message, retryAfterMs } = refused?.error ?? {};
    expect(message).toMatch(/Try again in (59|60) s\.$/);
    expect(retryAfterMs).toBeGreaterThan(long - 5_000);
    expect(retryAfterMs).toBeLessThanOrEqual(long);
    expect(runs()).toBe(3);
    expect(yard.logged.filter(({ event }) => event === 'circuit.open')).toMatchObject([{ tool: 'service', ms: long }]);
  });

  it('says less and less time to wait, and then lets a call through that closes it', async () => {
    const yard = await setup();
    const { tool, runs, becomes } = behind({ breaker: { failures: 1, halfOpenAfterMs } });
    await yard.worker([tool]);
    const { call, codes } = await dispatcherOf(yard);
    await call();
    const openedAt = performance.now();
    becomes(() => 'works');
    const first = (await call())[0]?.error?.retryAfterMs ?? Number.NaN;
    const second = (await call())[0]?.error?.retryAfterMs ?? Number.NaN;
    expect(first).toBeLessThanOrEqual(halfOpenAfterMs);
    expect(second).toBeLessThan(first);
    await expect.poll(() => codes()).toEqual(['completed']);
    expect(performance.now() - openedAt).toBeGreaterThan(first - 5);
    expect(await codes(5)).toEqual(Array.from({ length: 5 }, () => 'completed'));
    expect(runs()).toBe(7);
    expect(yard.logged.filter(({ event }) => event === 'circuit.closed')).toHaveLength(1);
  });

  it('lets one of many calls through, and holds no slot for the others', async () => {
    const yard = await setup();
    const { tool, runs, becomes } = behind({ breaker: { failures: 1, halfOpenAfterMs: 50 } });
    await yard.worker([tool], { concurrency: 4 });
    const { dispatcher, call, codes } = await dispatcherOf(yard);
    await call();
    const gate = signal();
    becomes(() => gate.promise);
    await expect.poll(() => (void call(), runs())).toBe(2);
    const calls = Array.from({ length: 20 }, () => toolCall('service'));
    const { outcomes } = await dispatcher.execute(calls, { principal });
    expect(new Set(outcomes.map(({ error }) => error?.code))).toEqual(new Set(['circuit_open']));
    expect(outcomes[0]?.error?.retryAfterMs).toBe(50);
    expect(runs()).toBe(2);
    gate.resolve();
    await expect.poll(() => codes()).toEqual(['completed']);
  });

  it('opens again when the call it let through fails', async () => {
    const yard = await setup();
    const { tool, runs } = behind({ breaker: { failures: 2, halfOpenAfterMs } });
    await yard.worker([tool]);
    const { call, codes, codesInTurn } = await dispatcherOf(yard);
    await codesInTurn(2);
    await expect.poll(() => codes()).toEqual(['tool_error']);
    const [refused] = await call();
    expect(refused?.error?.code).toBe('circuit_open');
    expect(refused?.error?.retryAfterMs).toBeGreaterThan(0);
    expect(runs()).toBe(3);
  });

  it('is one for each worker', async () => {
    const yard = await setup();
    const breaker = { failures: 1, halfOpenAfterMs: long };
    const [one, two] = [behind({ breaker }), behind({ breaker })];
    await yard.worker([one.tool], { concurrency: 1 });
    const { call, codes } = await dispatcherOf(yard);
    await call();
    expect(await codes()).toEqual(['circuit_open']);
    const [reached, letGo] = [signal(), signal()];
    two.becomes(() => {
      reached.resolve();
      return letGo.promise;
    });
    await yard.worker([two.tool], { concurrency: 1 });
    const untilReached = async (): Promise<string[]> => {
      const seen = await codes();
      return two.runs() === 0 ? untilReached() : seen;
    };
    const seen = untilReached();
    await reached.promise;
    expect(await codes()).toEqual(['circuit_open']); // the other is busy
    letGo.resolve();
    expect(await seen).toEqual(['completed']);
    expect(one.runs()).toBe(1);
  });

  it('is one for each tool', async () => {
    const yard = await setup();
    const { tool } = behind({ breaker: { failures: 1, halfOpenAfterMs: long } });
    const { description, version, parameters, policy } = tool.manifest;
    const other = defineTool({ name: 'other', description, version, parameters, policy, handler: () => 'works' });
    await yard.worker([tool, other]);
    const { dispatcher, codesInTurn } = await dispatcherOf(yard);
    expect(await codesInTurn(2)).toEqual(['tool_error', 'circuit_open']);
    const { outcomes } = await dispatcher.execute([toolCall('other')], { principal });
    expect(outcomes[0]?.status).toBe('completed');
  });

  it('counts timeouts and services that answer 503', async () => {
    const yard = await setup();
    const { tool, becomes } = behind({ timeoutMs: 30, breaker: { failures: 2, halfOpenAfterMs: long } }, () => {
      throw Object.assign(new Error('unavailable'), { status: 503 });
    });
    await yard.worker([tool]);
    const { codes } = await dispatcherOf(yard);
    expect(await codes()).toEqual(['upstream_error']);
    becomes(() => new Promise(() => {}));
    expect(await codes()).toEqual(['timeout']);
    expect(await codes()).toEqual(['circuit_open']);
  });

  it.each([
    ['what a tool says of the arguments', () => new ToolError('no such order'), 'tool_error'],
    ['a service that answers 404', () => Object.assign(new Error('gone'), { status: 404 }), 'upstream_error'],
    ['a call that is cancelled', () => new CallError('cancelled'), 'cancelled'],
  ])('does not open for %s', async (_what, error, code) => {
    const yard = await setup();
    const { tool, runs } = behind({ breaker: { failures: 1, halfOpenAfterMs: long } }, () => {
      throw error();
    });
    await yard.worker([tool]);
    const { codesInTurn } = await dispatcherOf(yard);
    expect(await codesInTurn(3)).toEqual([code, code, code]);
    expect(runs()).toBe(3);
  });

  it('does not count arguments that do not match', async () => {
    const yard = await setup();
    const { tool } = behind({ breaker: { failures: 1, halfOpenAfterMs: long } }, () => 'works');
    await yard.worker([tool]);
    const { dispatcher, codes } = await dispatcherOf(yard);
    await dispatcher.execute([toolCall('service', { n: 'x' }), toolCall('service', '{')], { principal });
    expect(await codes()).toEqual(['completed']);
  });

  it('does not count a Retry-After, which has a block of its own', async () => {
    const yard = await setup();
    let asked = 0;
    const { tool } = behind({ breaker: { failures: 1, halfOpenAfterMs: long } }, () => {
      asked += 1;
      if (asked === 1) throw new ToolError('slow down', { retry: { afterMs: 50 } });
      return 'works';
    });
    await yard.worker([tool]);
    const { call } = await dispatcherOf(yard);
    expect((await call())[0]).toMatchObject({ status: 'completed', attempts: 1 });
  });

  it('is closed by an answer in between: only failures in a row open it', async () => {
    const yard = await setup();
    const ends = [broken, () => 'works', broken, notFound, broken, broken];
    const { tool } = behind({ breaker: { failures: 2, halfOpenAfterMs: long } }, () => ends.shift()?.());
    await yard.worker([tool]);
    const { codesInTurn } = await dispatcherOf(yard);
    const seen = await codesInTurn(7);
    expect(seen[6]).toBe('circuit_open');
    expect(seen.filter((code) => code === 'circuit_open')).toHaveLength(1);
  });

  it('lets the next call try when the one it let through says nothing of the service', async () => {
    const yard = await setup();
    const { tool, runs, becomes } = behind({ breaker: { failures: 1, halfOpenAfterMs } });
    await yard.worker([tool]);
    const { call, codes } = await dispatcherOf(yard);
    await call();
    becomes(() => {
      throw new CallError('cancelled');
    });
    await expect.poll(() => codes()).toEqual(['cancelled']);
    expect(await codes()).toEqual(['cancelled']);
    becomes(() => 'works');
    expect(await codes()).toEqual(['completed']);
    expect(runs()).toBe(4);
  });

  it('ends a call whose next attempt finds it open, and keeps the attempts that were spent', async () => {
    const yard = await setup();
    const { tool, runs } = behind({
      retry: { attempts: 5, minDelayMs: 1, maxDelayMs: 2 },
      breaker: { failures: 2, halfOpenAfterMs: long },
    });
    await yard.worker([tool]);
    const { call } = await dispatcherOf(yard);
    expect((await call())[0]).toMatchObject({ status: 'refused', error: { code: 'circuit_open' }, attempts: 2 });
    expect(runs()).toBe(2);
  });

  it('refuses a call that may run at most once as such: it never started', async () => {
    const yard = await setup();
    const { tool, runs } = behind({ effects: 'at-most-once', breaker: { failures: 1, halfOpenAfterMs: long } });
    await yard.worker([tool]);
    const { call, codes } = await dispatcherOf(yard);
    expect(await codes()).toEqual(['tool_error']);
    expect((await call())[0]).toMatchObject({ status: 'refused', error: { code: 'circuit_open' }, attempts: 0 });
    expect(runs()).toBe(1);
  });

  it('gives back what admission granted', async () => {
    const yard = await setup();
    const limits: PolicyInput['limits'] = [
      { per: ['user'], quota: { limit: 3, windowMs: 3_600_000 }, concurrency: 1 },
      { per: ['tool'], rate: { limit: 3, periodMs: 3_600_000, burst: 3 } },
    ];
    const { tool, runs, becomes } = behind({ limits, breaker: { failures: 1, halfOpenAfterMs } });
    await yard.worker([tool]);
    const { codes, codesInTurn } = await dispatcherOf(yard);
    expect(await codes()).toEqual(['tool_error']);
    becomes(() => 'works');
    expect(new Set(await codesInTurn(5))).toEqual(new Set(['circuit_open']));
    await expect.poll(() => codes()).toEqual(['completed']);
    expect(await codes()).toEqual(['completed']);
    expect(await codes()).toEqual(['quota_exceeded']);
    expect(runs()).toBe(3);
  });

  it('answers from the cache while it is open', async () => {
    const yard = await setup();
    const { tool, becomes } = behind(
      { effects: 'none', cache: { ttlMs: long }, breaker: { failures: 1, halfOpenAfterMs: long } },
      () => 'kept',
    );
    await yard.worker([tool]);
    const { dispatcher, call } = await dispatcherOf(yard);
    await call();
    becomes(broken);
    await dispatcher.execute([toolCall('service', { n: 1 })], { principal });
    const { outcomes } = await dispatcher.execute([toolCall('service'), toolCall('service', { n: 2 })], { principal });
    expect(outcomes[0]).toMatchObject({ value: 'kept', cached: true });
    expect(outcomes[1]?.error?.code).toBe('circuit_open');
  });
});

function notFound(): never {
  throw new ToolError('no such order');
}
