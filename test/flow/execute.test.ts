import { describe, expect, it } from 'vitest';
import { defineTool, ToolError, Type } from '@callyard/worker';
import { monitor } from '../support/redis-monitor.ts';
import { principal, setup, signal, toolCall, type Callyard } from '../support/setup.ts';
import { act } from '../support/tools.ts';

describe('execute, for a loop of somebody else', () => {
  it('gives outcomes in the order of the calls and messages ready to be appended', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const calls = [
      toolCall('act', { mode: 'ok', text: 'a' }, 'same'),
      toolCall('nope', {}, 'same'),
      toolCall('act', { mode: 'throw' }),
    ];
    const { outcomes, messages } = await dispatcher.execute(calls, { principal });
    expect(outcomes.map(({ status }) => status)).toEqual(['completed', 'refused', 'failed']);
    expect(messages[0]).toEqual({ role: 'tool', tool_call_id: 'same', name: 'act', content: '{"text":"a"}' });
    expect(JSON.parse(messages[2]?.content as string)).toEqual({
      error: { code: 'tool_error', message: 'told to throw', suggestion: 'tell it something else' },
    });
  });

  it('attaches to a key that is under way or done instead of running it twice, each owner for itself', async () => {
    const yard = await setup();
    const started = signal();
    const go = signal();
    let runs = 0;
    const once = defineTool({
      name: 'once',
      version: '1.0.0',
      description: 'Counts',
      parameters: Type.Object({}),
      async handler() {
        runs += 1;
        started.resolve();
        await go.promise;
        return { runs };
      },
    });
    await yard.worker([once]);
    const [a, b] = [await yard.dispatcher(), await yard.dispatcher()];
    const calls = [toolCall('once')];
    const first = a.execute(calls, { principal, key: 'order-17' });
    await started.promise;
    const second = b.execute(calls, { principal, key: 'order-17' });
    go.resolve();
    expect((await first).outcomes[0]?.value).toEqual({ runs: 1 });
    expect((await second).outcomes[0]?.value).toEqual({ runs: 1 });
    const third = await b.execute(calls, { principal, key: 'order-17' });
    expect(third.outcomes[0]?.value).toEqual({ runs: 1 });
    const stranger = await b.execute(calls, { principal: { ...principal, owner: 'other' }, key: 'order-17' });
    expect(stranger.outcomes[0]?.value).toEqual({ runs: 2 });
  });

  it('attaches twice within one process, too', async () => {
    const yard = await setup();
    const [started, go] = [signal(), signal()];
    const held = async () => {
      started.resolve();
      await go.promise;
      return 'done';
    };
    await yard.worker([defineTool({ ...shell('held', '1.0.0'), handler: held })]);
    const dispatcher = await yard.dispatcher();
    const run = () => dispatcher.execute([toolCall('held')], { principal, key: 'order-18', timeoutMs: 5_000 });
    const first = run();
    await started.promise;
    const second = run();
    go.resolve();
    const ran = await Promise.all([first, second]);
    expect(ran.map(({ outcomes }) => outcomes[0]?.value)).toEqual(['done', 'done']);
  });

  it('leaves waiting calls in their place while nobody serves them, for workers that come back', async () => {
    const yard = await setup();
    const started = signal();
    const held = defineTool({ ...shell('job', '1.0.0'), handler: () => new Promise(() => started.resolve()) });
    const done = defineTool({ ...shell('job', '1.0.0'), handler: () => 'done' });
    const leaving = await yard.worker([held], { concurrency: 1, shutdownGraceMs: 50 });
    const dispatcher = await yard.dispatcher({ unservedMs: 10_000 });
    const ran = dispatcher.execute([toolCall('job'), toolCall('job')], { principal, timeoutMs: 15_000 });
    await started.promise;
    await leaving.close();
    const jobs = async () => {
      const keys = await yard.redis.keys(`${yard.names.job(leaving.pool, '*')}.0.?`);
      return Promise.all(keys.toSorted().map((key) => yard.redis.hget(key, 'timestamp')));
    };
    const before = await jobs();
    expect(before).toHaveLength(2);
    await catalogReads(yard, 5); // the dispatcher looks after its calls as often
    expect(await jobs()).toEqual(before);
    await yard.worker([done]);
    expect((await ran).outcomes.map(({ value }) => value)).toEqual(['done', 'done']);
  });

  it('runs a key again once its outcome is forgotten, also where it left a dead letter', async () => {
    const yard = await setup();
    let runs = 0;
    const broken = () => {
      runs += 1;
      throw new ToolError(`broken ${runs}`);
    };
    await yard.worker([defineTool({ ...shell('broken', '1.0.0'), handler: broken })]);
    const dispatcher = await yard.dispatcher();
    const run = async () => {
      const ran = await dispatcher.execute([toolCall('broken')], { principal, key: 'order-19', timeoutMs: 5_000 });
      return ran.outcomes[0];
    };
    const first = await run();
    expect((await run())?.error?.message).toBe('broken 1');
    await yard.redis.del(yard.names.outcome(first?.key ?? ''));
    expect((await run())?.error?.message).toBe('broken 2');
  });

  it('ends a call as tool_unavailable within a bounded time when nobody serves its tool any more', async () => {
    const yard = await setup();
    const worker = await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    await worker.close();
    const { outcomes } = await dispatcher.execute([toolCall('act', { mode: 'ok' })], { principal, timeoutMs: 60_000 });
    expect(outcomes[0]?.error?.code).toMatch(/^(tool_unavailable|unknown_tool)$/);
  });

  it('brings a waiting call to workers that came instead of its own', async () => {
    const yard = await setup();
    const started = signal();
    const old = defineTool({ ...shell('job', '1.0.0'), handler: () => new Promise(() => started.resolve()) });
    const renewed = defineTool({ ...shell('job', '1.1.0'), handler: () => 'by 1.1.0' });
    const leaving = await yard.worker([old], { concurrency: 1, shutdownGraceMs: 50 });
    const dispatcher = await yard.dispatcher({ unservedMs: 10_000 });
    const both = dispatcher.execute([toolCall('job'), toolCall('job')], { principal, timeoutMs: 15_000 });
    await started.promise;
    await yard.worker([renewed]);
    await leaving.close();
    const { outcomes } = await both;
    expect(outcomes.map(({ value, tool }) => [value, tool.version])).toEqual([
      ['by 1.1.0', '1.1.0'],
      ['by 1.1.0', '1.1.0'],
    ]);
  });
});

function shell(name: string, version: string) {
  return { name, version, description: name, parameters: Type.Object({}) };
}

/** Resolves when dispatchers have read the catalog so often. */
async function catalogReads(yard: Callyard, count: number): Promise<void> {
  const reached = signal();
  let reads = 0;
  const stop = await monitor(yard.redisUrl, (line) => {
    if (line.includes(`"zremrangebyscore" "${yard.names.workers}"`) && ++reads === count) reached.resolve();
  });
  await reached.promise;
  stop();
}
