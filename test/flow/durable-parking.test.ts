import { describe, expect, it } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { asksOf, play, playedModel } from '../support/played-model.ts';
import { principal, proposes, says, setup, signal, toolCall } from '../support/setup.ts';

const { owner } = principal;

/** A tool whose calls end when they are let go, by number. */
function gated() {
  const gates = Array.from({ length: 4 }, () => signal());
  const tool = defineTool({
    name: 'gated',
    version: '1.0.0',
    description: 'Waits',
    parameters: Type.Object({ nth: Type.Integer() }),
    policy: { timeoutMs: 60_000 },
    async handler({ nth }, ctx) {
      const aborted = signal();
      ctx.signal.addEventListener('abort', () => aborted.resolve());
      await Promise.race([gates[nth]?.promise, aborted.promise]);
      return nth;
    },
  });
  return { tool, letGo: (nth: number) => gates[nth]?.resolve() };
}

const call = (nth: number) => toolCall('gated', { nth });

async function parkedRun(calls = [call(0), call(1), call(2)], more: object = {}) {
  const yard = await setup();
  const { tool, letGo } = gated();
  const worker = await yard.worker([tool]);
  const dispatcher = await yard.dispatcher({ model: playedModel(yard.redis, yard.names), parkAfterMs: 60 });
  const messages = play(proposes(...calls), says('Done.'));
  const { runId } = await dispatcher.submit({ messages, principal, ...more });
  const state = async () => (await dispatcher.show(runId, { owner })).state;
  await expect.poll(state).toBe('waiting');
  return { yard, worker, dispatcher, runId, letGo, state };
}

describe('a run that waits long for its calls', () => {
  it('is put away: nobody holds it, and its job has no lock', async () => {
    const { yard, dispatcher, runId, letGo } = await parkedRun();
    const { tag } = yard.names;
    expect(await dispatcher.show(runId, { owner })).toMatchObject({ state: 'waiting', holder: undefined, holds: 1 });
    expect(await yard.redis.exists(`${tag}:runs:${runId}:lock`, `${tag}:runs:active`, `${tag}:runs:wait`)).toBe(0);
    expect(await yard.redis.smembers(`${yard.names.run(runId)}:missing`)).toHaveLength(3);
    for (const nth of [0, 1, 2]) letGo(nth);
    await dispatcher.wait(runId, { owner });
  });

  it('is brought back by the last that was missing, and asks nothing again', async () => {
    const { yard, dispatcher, runId, letGo, state } = await parkedRun();
    const missing = () => yard.redis.scard(`${yard.names.run(runId)}:missing`);
    letGo(1);
    await expect.poll(missing).toBe(2);
    letGo(0);
    await expect.poll(missing).toBe(1);
    expect(await state()).toBe('waiting');
    letGo(2);
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'completed', text: 'Done.', holds: 2 });
    expect(run.outcomes.map(({ value }) => value)).toEqual([0, 1, 2]);
    expect(await asksOf(yard, runId)).toEqual([1, 1]);
  });

  it('is put away again for each call where they run one after the other', async () => {
    const { dispatcher, runId, letGo, state } = await parkedRun([call(0), call(1)], { mode: 'sequential' });
    letGo(0);
    await expect.poll(async () => (await dispatcher.show(runId, { owner })).holds).toBe(2);
    await expect.poll(state).toBe('waiting');
    letGo(1);
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 3 });
  });

  it('is held on to while nobody serves a call of it: the model is told that in time', async () => {
    const yard = await setup();
    const worker = await yard.worker([gated().tool]);
    const model = playedModel(yard.redis, yard.names);
    const dispatcher = await yard.dispatcher({ model, parkAfterMs: 1_500, unservedMs: 2_000 });
    const messages = play(proposes(call(0)), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal, timeoutMs: 8_000 });
    await expect.poll(() => yard.redis.llen(`${yard.names.tag}:calls-${worker.pool}:active`)).toBe(1);
    await worker.close();
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'completed', holds: 1 });
    expect(run.outcomes).toMatchObject([{ status: 'refused', error: { code: 'tool_unavailable' } }]);
  });

  it('is ended at its deadline, though its workers are gone', async () => {
    const { worker, dispatcher, runId } = await parkedRun([call(0)], { timeoutMs: 1_500 });
    await worker.close();
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'expired', stop: 'deadline' });
    expect(run.outcomes).toMatchObject([{ error: { code: 'deadline_exceeded' } }]);
    expect((run.endedAt ?? Number.NaN) - run.deadlineAt).toBeLessThan(10_000); // not at the next look, after minutes
  });

  it('is gone on with by another dispatcher, as the one that put it away has closed', async () => {
    const { yard, dispatcher, runId, letGo } = await parkedRun([call(0)]);
    const other = await yard.dispatcher();
    await dispatcher.close();
    letGo(0);
    const runs = other.wait(runId, { owner });
    await yard.dispatcher({ model: playedModel(yard.redis, yard.names) });
    expect(await runs).toMatchObject({ state: 'completed', holds: 2 });
  });
});

describe('a Redis that has lost everything', () => {
  it('ends every wait for its runs as gone, and new ones run', async () => {
    const { yard, dispatcher, runId, letGo } = await parkedRun([call(0)]);
    const submit = (...lines: Parameters<typeof play>) =>
      dispatcher.submit({ messages: play(...lines), principal, conversationId: 'c' });
    const asking = await submit({ ...says('Asked.'), hangs: 1 });
    const second = await submit(says('Waits.'));
    await expect.poll(() => asksOf(yard, asking.runId)).toEqual([1]);
    const waits = [runId, asking.runId, second.runId].map((id) => dispatcher.wait(id, { owner }));
    const settled = Promise.allSettled(waits);
    await yard.redis.del(await yard.redis.keys(`${yard.names.tag}:*`));
    const reasons = (await settled).map((one) =>
      one.status === 'rejected' ? (one.reason as { code: string }).code : one,
    );
    expect(reasons).toEqual(['gone', 'gone', 'gone']);
    letGo(0);
    letGo(1);
    await dispatcher.waitForTools(['gated']);
    const next = await submit(proposes(call(1)), says('Done.'));
    expect(await dispatcher.wait(next.runId, { owner })).toMatchObject({ state: 'completed', turns: 2 });
  });
});
