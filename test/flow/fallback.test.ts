import { describe, expect, it } from 'vitest';
import { defineTool, ToolError, Type } from '@callyard/worker';
import { alone } from '../fixtures/tools/isolated.ts';
import { principal, setup, signal, toolCall } from '../support/setup.ts';
import { climate, down, weather, yardWith } from '../support/weather.ts';

describe('a fallback', () => {
  it('answers where every attempt failed; no dead letter, and the outcome says so', async () => {
    const asked: unknown[] = [];
    const tool = weather(down, ({ city }, ctx) => {
      asked.push([city, ctx.principal.userId, ctx.signal.aborted]);
      return { guess: 'mild', password: 'hunter2' };
    });
    const { yard, worker, ask } = await yardWith(tool);
    const outcome = await ask();
    expect(outcome).toMatchObject({
      status: 'completed',
      value: { guess: 'mild' },
      degraded: { why: 'tool_error', by: 'handler' },
      attempts: 2,
    });
    expect(outcome?.error).toBeUndefined();
    expect(JSON.stringify(outcome)).not.toContain('hunter2');
    expect(asked).toEqual([['Oslo', 'mia', false]]);
    expect(await yard.redis.zcard(yard.names.failed(worker.pool))).toBe(0);
    const told = () => yard.logged.filter(({ event }) => event === 'call.degraded');
    await expect.poll(told).toMatchObject([{ tool: 'weather', code: 'tool_error', by: 'handler' }]);
  });

  it('answers for a tool that is too slow, in time of its own', async () => {
    const slow = () => new Promise(() => {});
    const tool = weather(slow, ({ city }) => ({ city }), { timeoutMs: 50, retry: { attempts: 1 } });
    const { ask } = await yardWith(tool);
    expect(await ask()).toMatchObject({ value: { city: 'Oslo' }, degraded: { why: 'timeout', by: 'handler' } });
  });

  it('answers for a tool whose process is killed', async () => {
    const { manifest } = alone;
    const policy = { ...manifest.policy, retry: { ...manifest.policy.retry, attempts: 1 } };
    const { dispatcher } = await yardWith({ ...alone, manifest: { ...manifest, policy }, fallback: () => process.pid });
    const { outcomes } = await dispatcher.execute([toolCall('alone', { mode: 'exit' })], { principal });
    expect(outcomes[0]).toMatchObject({ value: process.pid, degraded: { why: 'tool_error', by: 'handler' } });
  });

  it('answers while a circuit is open, without an attempt', async () => {
    const tool = weather(down, () => 'mild', { retry: { attempts: 1 }, breaker: { failures: 1 } });
    const { ask } = await yardWith(tool);
    expect(await ask()).toMatchObject({ attempts: 1, degraded: { why: 'tool_error' } });
    expect(await ask()).toMatchObject({ attempts: 0, value: 'mild', degraded: { why: 'circuit_open', by: 'handler' } });
  });

  it('gives back what the call was granted where its tool did not start', async () => {
    const policy = {
      retry: { attempts: 1 },
      breaker: { failures: 1 },
      limits: [{ per: ['user' as const], quota: { limit: 2, windowMs: 3_600_000 } }],
    };
    const { ask } = await yardWith(weather(down, () => 'mild', policy));
    for (let i = 0; i < 5; i++) expect((await ask())?.status).toBe('completed');
  });

  it('answers for a service that wants to be left alone until after the deadline, which stays blocked', async () => {
    const patience = new ToolError('slow down', { retry: { afterMs: 60_000 } });
    let runs = 0;
    const tool = weather(
      () => {
        runs += 1;
        throw patience;
      },
      () => 'mild',
    );
    const { ask } = await yardWith(tool);
    const options = { timeoutMs: 5_000 };
    expect(await ask({ city: 'Oslo' }, options)).toMatchObject({ degraded: { why: 'tool_error' } });
    expect(await ask({ city: 'Oslo' }, options)).toMatchObject({ degraded: { why: 'rate_limited' }, attempts: 0 });
    expect(runs).toBe(1);
  });

  it.each([
    ['arguments that do not match', { city: 7 }, {}, 'invalid_arguments'],
    ['a missing permission', { city: 'Oslo' }, { requires: ['weather:read'] }, 'permission_denied'],
    ['what the tool says of the arguments', { city: 'Atlantis' }, {}, 'tool_error'],
    [
      'a used up limit of ours',
      { city: 'Oslo' },
      { limits: [{ per: ['user' as const], quota: { limit: 1, windowMs: 3_600_000 } }] },
      'quota_exceeded',
    ],
  ])('stays out of it for %s', async (_what, args, policy, code) => {
    let asked = 0;
    const tool = weather(
      () => {
        throw new ToolError('no such city');
      },
      () => (asked += 1),
      policy,
    );
    const { ask } = await yardWith(tool);
    await ask();
    expect((await ask(args))?.error?.code).toBe(code);
    expect(asked).toBe(0);
  });

  it('stays out of it for a call that is cancelled while its tool runs', async () => {
    const [started, gate] = [signal(), signal()];
    let asked = 0;
    const tool = weather(
      async () => {
        started.resolve();
        await gate.promise;
        return down();
      },
      () => (asked += 1),
      { retry: { attempts: 1 } },
    );
    const { worker, ask } = await yardWith(tool);
    const cancel = new AbortController();
    const outcome = ask({ city: 'Oslo' }, { signal: cancel.signal });
    await started.promise;
    cancel.abort();
    expect((await outcome)?.status).toBe('cancelled');
    gate.resolve();
    await worker.close();
    expect(asked).toBe(0);
  });

  it('that fails leaves the error as it was, and a dead letter', async () => {
    const tool = weather(down, () => {
      throw new Error('no guess either');
    });
    const { yard, worker, ask } = await yardWith(tool);
    const outcome = await ask();
    expect(outcome).toMatchObject({ status: 'failed', error: { code: 'tool_error', message: 'the service is down' } });
    expect(outcome?.degraded).toBeUndefined();
    await expect.poll(() => yard.redis.zcard(yard.names.failed(worker.pool))).toBe(1);
    expect(yard.logged.find(({ event }) => event === 'fallback.failed')).toMatchObject({ code: 'tool_error' });
  });

  it('that is too slow leaves the error as it was', async () => {
    const tool = weather(down, () => new Promise(() => {}), { timeoutMs: 50 });
    const { ask } = await yardWith(tool);
    expect(await ask()).toMatchObject({ status: 'failed', error: { code: 'tool_error' } });
  });

  it('is handed back with its call when the worker stops, and starts again elsewhere', async () => {
    const started = signal();
    const hanging = weather(
      down,
      () => {
        started.resolve();
        return new Promise(() => {});
      },
      { retry: { attempts: 1 } },
    );
    const { yard, worker, dispatcher } = await yardWith(hanging);
    const calls = [toolCall('weather', { city: 'Oslo' })];
    const all = dispatcher.execute(calls, { principal });
    await started.promise;
    await yard.worker([weather(() => 'sun', undefined)]);
    await worker.close();
    expect((await all).outcomes[0]).toMatchObject({ status: 'completed', value: 'sun' });
  });

  it('of a tool that may run at most once answers, too', async () => {
    const { ask } = await yardWith(weather(down, () => 'mild', { effects: 'at-most-once' }));
    expect(await ask()).toMatchObject({ value: 'mild', attempts: 1, degraded: { why: 'tool_error' } });
  });

  it('that is interrupted leaves the error of a tool that may run at most once as it was', async () => {
    const started = signal();
    const guess = climate(() => {
      started.resolve();
      return new Promise(() => {});
    });
    const { worker, ask } = await yardWith(weather(down, { tool: 'climate' }, { effects: 'at-most-once' }), guess);
    const outcome = ask();
    await started.promise;
    await worker.close();
    expect(await outcome).toMatchObject({ status: 'failed', error: { message: 'the service is down' } });
  });
});

describe('a fallback that is another tool', () => {
  it('answers with what that tool makes of the arguments', async () => {
    const { ask } = await yardWith(
      weather(down, { tool: 'climate' }),
      climate(({ city }) => `mild in ${city}`),
    );
    expect(await ask()).toMatchObject({
      tool: { name: 'weather' },
      value: 'mild in Oslo',
      degraded: { why: 'tool_error', by: 'tool' },
    });
  });

  it('leaves the error as it was where the arguments do not match its schema', async () => {
    const other = defineTool({
      name: 'climate',
      version: '1.0.0',
      description: 'Wants to know more',
      parameters: Type.Object({ city: Type.String(), month: Type.Integer() }),
      handler: () => 'mild',
    });
    const { ask } = await yardWith(weather(down, { tool: 'climate' }), other);
    expect(await ask()).toMatchObject({ status: 'failed', error: { message: 'the service is down' } });
  });

  it('leaves the error as it was where the user may not call it', async () => {
    const { ask } = await yardWith(
      weather(down, { tool: 'climate' }),
      climate(() => 'mild', { policy: { requires: ['climate:read'] } }),
    );
    expect(await ask()).toMatchObject({ status: 'failed', error: { code: 'tool_error' } });
  });

  it('falls back in turn', async () => {
    const { ask } = await yardWith(weather(down, { tool: 'climate' }), climate(down, { fallback: () => 'no idea' }));
    expect(await ask()).toMatchObject({ value: 'no idea', degraded: { by: 'tool' } });
  });

  it.each([
    ['is not there', [weather(down, { tool: 'climat' })], 'this worker serves no tool climat'],
    [
      'leads back',
      [weather(down, { tool: 'climate' }), climate(down, { fallback: { tool: 'weather' } })],
      'weather → climate → weather',
    ],
    ['is the tool itself', [weather(down, { tool: 'weather' })], 'weather → weather'],
    [
      'may run at most once',
      [weather(down, { tool: 'climate' }), climate(down, { policy: { effects: 'at-most-once' } })],
      'climate is at-most-once',
    ],
  ])('keeps a worker from starting where it %s', async (_what, tools, said) => {
    const yard = await setup();
    await expect(yard.worker(tools)).rejects.toThrow(said);
  });
});
