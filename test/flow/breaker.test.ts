import { describe, expect, it } from 'vitest';
import { CallError } from '@callyard/shared/failure';
import { defineTool, ToolError, Type, type PolicyInput } from '@callyard/worker';
import { principal, setup, signal, toolCall, type Callyard } from '../support/setup.ts';

const broken = () => Promise.reject(new Error('the service is down'));
const notFound = () => Promise.reject(new ToolError('no such order'));

/** A tool behind which a test puts whatever it wants, and when it was asked. */
function behind(policy: PolicyInput, first: () => unknown = broken) {
  const ranAt: number[] = [];
  let answer = first;
  const tool = defineTool({
    name: 'service',
    version: '1.0.0',
    description: 'Asks a service',
    parameters: Type.Object({ n: Type.Optional(Type.Integer()) }),
    policy: { retry: { attempts: 1 }, ...policy },
    handler: () => {
      ranAt.push(performance.now());
      return answer();
    },
  });
  /** from one time to the next */
  const pauses = () => ranAt.slice(1).map((at, i) => at - (ranAt[i] ?? Number.NaN));
  return { tool, runs: () => ranAt.length, pauses, becomes: (next: () => unknown) => void (answer = next) };
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
  /** Calls until one is run, and says how that ends. */
  const untilRun = async (runs: () => number, before = runs()): Promise<string[]> => {
    const seen = await codes();
    return runs() === before ? untilRun(runs, before) : seen;
  };
  return { dispatcher, call, codes, codesInTurn, untilRun };
}

/** What a call meets that is held until the test lets it go. */
function held() {
  const [reached, letGo] = [signal(), signal()];
  const answer = () => {
    reached.resolve();
    return letGo.promise;
  };
  return { answer, reached: reached.promise, letGo: letGo.resolve };
}

/** Short enough to wait for, and no time to look at what is refused meanwhile: a busy machine is not done by then. */
const halfOpenAfterMs = 200;
/** A pause is measured by another clock than it is kept by. */
const wholePauseMs = halfOpenAfterMs - 5;
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
    expect(message).toMatch(new RegExp(`Try again in ${Math.ceil((retryAfterMs ?? Number.NaN) / 1_000)} s\\.$`));
    expect(retryAfterMs).toBeGreaterThan(long - 10_000);
    expect(retryAfterMs).toBeLessThanOrEqual(long);
    expect(runs()).toBe(3);
    expect(yard.logged.filter(({ event }) => event === 'circuit.open')).toMatchObject([{ tool: 'service', ms: long }]);
  });

  it('says less and less time to wait, and then lets a call through that closes it', async () => {
    const yard = await setup();
    const { tool, runs, pauses, becomes } = behind({ breaker: { failures: 1, halfOpenAfterMs } });
    await yard.worker([tool]);
    const { call, codes } = await dispatcherOf(yard);
    await call();
    becomes(() => 'works');
    const toWait: number[] = [];
    const ask = async () => {
      const [outcome] = await call();
      if (outcome?.error) toWait.push(outcome.error.retryAfterMs ?? Number.NaN);
      return outcome?.status;
    };
    await expect.poll(ask, { interval: 20 }).toBe('completed');
    expect(pauses()[0]).toBeGreaterThan(wholePauseMs);
    expect(toWait).toEqual([...new Set(toWait)].toSorted((a, b) => b - a));
    expect(toWait.filter((ms) => ms > halfOpenAfterMs)).toEqual([]);
    expect(await codes(5)).toEqual(Array.from({ length: 5 }, () => 'completed'));
    expect(runs()).toBe(7);
    expect(yard.logged.filter(({ event }) => event === 'circuit.closed')).toHaveLength(1);
  });

  it('lets one of many calls through, and holds no slot for the others', async () => {
    const yard = await setup();
    const { tool, runs, becomes } = behind({ breaker: { failures: 1, halfOpenAfterMs: 50 } });
    await yard.worker([tool], { concurrency: 4 });
    const { call, untilRun } = await dispatcherOf(yard);
    await call();
    const { answer, reached, letGo } = held();
    becomes(answer);
    const probe = untilRun(runs);
    await reached;
    const outcomes = await call(20);
    expect(new Set(outcomes.map(({ error }) => error?.code))).toEqual(new Set(['circuit_open']));
    expect(outcomes[0]?.error?.retryAfterMs).toBe(50);
    expect(runs()).toBe(2);
    letGo();
    expect(await probe).toEqual(['completed']);
  });

  it('opens again when the call it let through fails', async () => {
    const yard = await setup();
    const { tool, runs, pauses } = behind({ breaker: { failures: 2, halfOpenAfterMs } });
    await yard.worker([tool]);
    const { codes, codesInTurn } = await dispatcherOf(yard);
    await codesInTurn(2);
    await expect.poll(async () => (await codes(), runs()), { interval: 20 }).toBe(4);
    expect(Math.min(...pauses().slice(1))).toBeGreaterThan(wholePauseMs);
  });

  it('is one for each worker', async () => {
    const yard = await setup();
    const breaker = { failures: 1, halfOpenAfterMs: long };
    const [one, two] = [behind({ breaker }), behind({ breaker })];
    await yard.worker([one.tool], { concurrency: 1 });
    const { call, codes, untilRun } = await dispatcherOf(yard);
    await call();
    expect(await codes()).toEqual(['circuit_open']);
    const { answer, reached, letGo } = held();
    two.becomes(answer);
    await yard.worker([two.tool], { concurrency: 1 });
    const seen = untilRun(two.runs);
    await reached;
    expect(await codes()).toEqual(['circuit_open']); // the other is busy
    letGo();
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
      { per: ['user'], quota: { limit: 3, windowMs: 3_600_000 }, concurrency: 2 },
      { per: ['tool'], rate: { limit: 3, periodMs: 3_600_000, burst: 3 } },
    ];
    const { tool, runs, becomes } = behind({ limits, breaker: { failures: 1, halfOpenAfterMs: 50 } });
    await yard.worker([tool]);
    const { codes, codesInTurn, untilRun } = await dispatcherOf(yard);
    expect(await codes()).toEqual(['tool_error']);
    const { answer, reached, letGo } = held();
    becomes(answer);
    const probe = untilRun(runs);
    await reached;
    // While the probe runs all others are refused, however long they take: one by one, in the one place that is left.
    expect(new Set(await codesInTurn(5))).toEqual(new Set(['circuit_open']));
    letGo();
    expect(await probe).toEqual(['completed']);
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
