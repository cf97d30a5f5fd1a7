import { describe, expect, it } from 'vitest';
import { createCache } from '@callyard/shared/cache';
import { defineTool, ToolError, Type, type PolicyInput } from '@callyard/worker';
import { principal, setup, signal, toolCall } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { steady, workerProcesses } from '../support/worker-process.ts';

function counting(
  policy: PolicyInput,
  answer: (city: string, run: number) => unknown = (city, run) => ({ city, run }),
) {
  let runs = 0;
  const tool = defineTool({
    name: 'weather',
    version: '1.0.0',
    description: 'Counts how often it runs',
    parameters: Type.Object({ city: Type.String(), unit: Type.Optional(Type.String()) }),
    policy: { effects: 'none', ...policy },
    handler: ({ city }) => answer(city, ++runs),
  });
  return { tool, runs: () => runs };
}

const many = (count: number, args: unknown = { city: 'Oslo' }) =>
  Array.from({ length: count }, () => toolCall('weather', args));

describe('the cache', () => {
  it('answers an equal call without running the tool, whatever the order of its keys', async () => {
    const yard = await setup();
    const { tool, runs } = counting({ cache: { ttlMs: 60_000 } });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const one = await dispatcher.execute([toolCall('weather', '{"city":"Oslo","unit":"c"}')], { principal });
    const two = await dispatcher.execute([toolCall('weather', '{ "unit": "c", "city": "Oslo" }')], { principal });
    expect(one.outcomes[0]).toMatchObject({ value: { run: 1 }, attempts: 1 });
    expect(one.outcomes[0]?.cached).toBeUndefined();
    expect(two.outcomes[0]).toMatchObject({ value: { run: 1 }, cached: true, attempts: 0 });
    expect(runs()).toBe(1);
  });

  it.each([
    ['user', 3],
    ['owner', 2],
    ['shared', 1],
  ] as const)('with scope %s runs %i times for two users of one owner and one of another', async (scope, expected) => {
    const yard = await setup();
    const { tool, runs } = counting({ cache: { ttlMs: 60_000, scope } });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    for (const who of [
      { owner: 'acme', userId: 'mia' },
      { owner: 'acme', userId: 'max' },
      { owner: 'other', userId: 'mia' },
    ]) {
      await dispatcher.execute(many(1), { principal: who });
    }
    expect(runs()).toBe(expected);
  });

  it('has a hundred equal calls at once wait for one execution, without a slot', async () => {
    const yard = await setup();
    const gate = signal();
    const { tool, runs } = counting({ cache: { ttlMs: 60_000 } }, async (city) => {
      await gate.promise;
      return { city };
    });
    const other = defineTool({
      name: 'free',
      version: '1.0.0',
      description: 'Runs beside',
      parameters: Type.Object({}),
      handler: () => 'ran',
    });
    await yard.worker([tool, other], { concurrency: 4 });
    const dispatcher = await yard.dispatcher({ maxCalls: 200 });
    const all = dispatcher.execute(many(100), { principal });
    const beside = await dispatcher.execute([toolCall('free')], { principal: { owner: 'acme', userId: 'max' } });
    expect(beside.outcomes[0]).toMatchObject({ value: 'ran' });
    gate.resolve();
    const { outcomes } = await all;
    expect(outcomes.map(({ status }) => status)).toEqual(Array.from({ length: 100 }, () => 'completed'));
    expect(outcomes.filter(({ cached }) => !cached)).toHaveLength(1);
    expect(runs()).toBe(1);
  });

  it('has equal calls run once more when the worker that ran them is killed', async () => {
    const yard = await setup();
    const [victim] = await workerProcesses(yard, 1);
    const starts = await watchStarts(yard);
    const dispatcher = await yard.dispatcher({ maxCalls: 200, unservedMs: 30_000 });
    const all = dispatcher.execute(
      Array.from({ length: 100 }, () => toolCall('shared_rest')),
      { principal },
    );
    await starts.reach(1);
    await workerProcesses(yard, 1, steady);
    victim?.process.kill('SIGKILL');
    const { outcomes } = await all;
    starts.stop();
    expect(outcomes.every(({ status }) => status === 'completed')).toBe(true);
    expect(await yard.redis.get(`${yard.names.tag}:rests`)).toBe('2');
  });

  it('takes no rate for what it answers', async () => {
    const yard = await setup();
    const limits = [{ per: ['user' as const], rate: { limit: 1, periodMs: 60_000 } }];
    const { tool, runs } = counting({ cache: { ttlMs: 60_000 }, limits });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    for (let i = 0; i < 3; i++) {
      const { outcomes } = await dispatcher.execute(many(2), { principal, timeoutMs: 5_000 });
      expect(outcomes.map(({ status }) => status)).toEqual(['completed', 'completed']);
    }
    expect(runs()).toBe(1);
  });

  it('lets the next of the waiting try when one fails, and keeps no failure', async () => {
    const yard = await setup();
    const { tool, runs } = counting({ cache: { ttlMs: 60_000 } }, (city, run) => {
      if (run === 1) throw new ToolError('not today');
      return { city, run };
    });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute(many(5), { principal });
    expect(outcomes.filter(({ status }) => status === 'failed')).toHaveLength(1);
    expect(outcomes.filter(({ cached }) => cached)).toHaveLength(3);
    expect(runs()).toBe(2);
  });

  it('keeps what is redacted, and nothing that is too large', async () => {
    const yard = await setup();
    const { tool, runs } = counting({ cache: { ttlMs: 60_000, maxBytes: 200 } }, (city) =>
      city === 'long' ? 'x'.repeat(300) : { city, password: 'hunter2' },
    );
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    await dispatcher.execute(many(1), { principal });
    const keys = await yard.redis.keys(`${yard.names.tag}:cache:*`);
    expect(keys).toHaveLength(1);
    expect(await yard.redis.get(keys[0] as string)).not.toContain('hunter2');
    await dispatcher.execute(many(1, { city: 'long' }), { principal });
    await dispatcher.execute(many(1, { city: 'long' }), { principal });
    expect(runs()).toBe(3);
  });

  it('is cleared for one tool, or for all', async () => {
    const yard = await setup();
    const { tool, runs } = counting({ cache: { ttlMs: 60_000 } });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const cache = createCache(yard.redis, yard.names);
    await dispatcher.execute(many(1), { principal });
    expect(await cache.clear('other')).toBe(0);
    expect(await cache.clear('weather')).toBe(1);
    await dispatcher.execute(many(1), { principal });
    expect(await cache.clear()).toBe(1);
    expect(runs()).toBe(2);
  });

  it('is only for tools that change nothing', () => {
    expect(() => counting({ effects: 'idempotent', cache: { ttlMs: 1 } })).toThrow(
      "only of tools with effects: 'none'",
    );
  });
});
