import { describe, expect, it } from 'vitest';
import type { Dispatcher, Model } from '@callyard/dispatcher';
import { defineTool, Type } from '@callyard/worker';
import { payments, waitingFor } from '../support/approvals.ts';
import { asksOf, play, playedModel, unanswered } from '../support/played-model.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { principal, proposes, says, setup, signal, toolCall, type Callyard } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { act } from '../support/tools.ts';
import { workerProcesses } from '../support/worker-process.ts';

const { owner } = principal;
const ok = toolCall('act', { mode: 'ok' });

/** One slot, so that all calls but one wait in their lane; `aborts` counts the handlers that were told to stop. */
function oneAtATime() {
  const seen = { starts: 0, aborts: 0 };
  const tool = defineTool({
    name: 'one',
    version: '1.0.0',
    description: 'Runs alone, until it is aborted',
    parameters: Type.Object({}),
    policy: { limits: [{ per: ['user'], concurrency: 1 }], timeoutMs: 60_000 },
    async handler(_args, ctx) {
      seen.starts += 1;
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      seen.aborts += 1;
    },
  });
  return { tool, seen };
}

async function yardWith(tools: Parameters<Callyard['worker']>[0] = [act], options: object = {}) {
  const yard = await setup();
  const worker = await yard.worker(tools);
  const model = playedModel(yard.redis, yard.names);
  return { yard, worker, model, dispatcher: await yard.dispatcher({ model, ...options }) };
}

const statuses = async (dispatcher: Dispatcher, runId: string) => {
  const { state, stop, outcomes } = await dispatcher.wait(runId, { owner });
  return [state, stop, ...outcomes.map(({ status, error }) => error?.code ?? status)];
};

const jobsOf = async ({ redis, names: { tag } }: Callyard, runId: string): Promise<string[]> =>
  redis.keys(`${tag}:calls-*:${runId}.*`);

describe('the cancel of a durable run', () => {
  it('that is queued ends it before its model is asked', async () => {
    const yard = await setup();
    const submitting = await yard.dispatcher();
    const { runId } = await submitting.submit({ messages: play(says('Done.')), principal, model: 'played' });
    const cancelled = await submitting.cancel(runId, { owner, by: 'boss', why: 'no need' });
    expect(cancelled).toMatchObject({
      state: 'cancelled',
      endedAt: undefined,
      cancelled: { by: 'boss', why: 'no need' },
    });
    const dispatcher = await yard.dispatcher({ model: playedModel(yard.redis, yard.names) });
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'cancelled', turns: 0, stop: 'cancelled' });
    expect(await asksOf(yard, runId)).toEqual([]);
  });

  it('aborts its request of the model, whichever dispatcher is told', async () => {
    const { yard, dispatcher } = await yardWith();
    const other = await yard.dispatcher();
    const { runId } = await dispatcher.submit({ messages: play({ ...says('Done.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    await other.cancel(runId, { owner });
    expect(await statuses(other, runId)).toEqual(['cancelled', 'cancelled']);
    expect(await unanswered(yard)).toEqual([`${runId} 0`]);
  });

  it('aborts its request of the model also when nobody told its dispatcher', async () => {
    const { yard, dispatcher } = await yardWith([act], { lockMs: 600, stalledCheckMs: 200 });
    const { runId } = await dispatcher.submit({ messages: play({ ...says('Done.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    await yard.redis.hset(yard.names.run(runId), 'cancelledAt', '1');
    expect(await statuses(dispatcher, runId)).toEqual(['cancelled', 'cancelled']);
    expect(await asksOf(yard, runId)).toEqual([1]);
  });

  it('reaches its handlers in another process', async () => {
    const yard = await setup();
    await workerProcesses(yard, 1, { CALLYARD_LOCK_MS: '30000', CALLYARD_STALLED_CHECK_MS: '3000' });
    const dispatcher = await yard.dispatcher({ model: playedModel(yard.redis, yard.names) });
    await dispatcher.waitForTools(['hold', 'hold_once']);
    const starts = await watchStarts(yard);
    const messages = play(proposes(toolCall('hold'), toolCall('hold_once')), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal });
    await starts.reach(2);
    starts.stop();
    await dispatcher.cancel(runId, { owner });
    expect(await statuses(dispatcher, runId)).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
    const aborts = () => yard.redis.lrange(`${yard.names.tag}:aborts`, 0, -1);
    await expect
      .poll(async () => (await aborts()).toSorted())
      .toEqual([`${runId}.0.0 cancelled`, `${runId}.0.1 cancelled`]);
  });

  it.each([
    ['held', 60_000],
    ['parked', 50],
  ])('of one that is %s takes back the calls that wait, and aborts the one that runs', async (_how, parkAfterMs) => {
    const { tool, seen } = oneAtATime();
    const { yard, dispatcher } = await yardWith([tool], { parkAfterMs });
    const messages = play(proposes(toolCall('one'), toolCall('one'), toolCall('one')), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal });
    const state = parkAfterMs === 50 ? 'waiting' : 'running';
    await expect.poll(async () => [seen.starts, (await dispatcher.show(runId, { owner })).state]).toEqual([1, state]);
    await dispatcher.cancel(runId, { owner });
    expect(await statuses(dispatcher, runId)).toEqual([
      'cancelled',
      'cancelled',
      'cancelled',
      'cancelled',
      'cancelled',
    ]);
    await expect.poll(() => seen.aborts).toBe(1);
    await expect.poll(() => jobsOf(yard, runId)).toEqual([]);
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject({ running: 0, waiting: 0 });
    expect(seen.starts).toBe(1);
  });

  it('of one whose call waits for approval ends the call, and nobody is asked any more', async () => {
    const { pay, paid } = payments();
    const { yard, dispatcher } = await yardWith([pay], { parkAfterMs: 50 });
    const messages = play(proposes(toolCall('pay', { amount: 1 })), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal });
    const [waiting] = await waitingFor(dispatcher);
    await expect.poll(async () => (await dispatcher.show(runId, { owner })).state).toBe('waiting');
    await dispatcher.cancel(runId, { owner });
    expect(await statuses(dispatcher, runId)).toEqual(['cancelled', 'cancelled', 'cancelled']);
    await expect.poll(() => jobsOf(yard, runId)).toEqual([]);
    const late = dispatcher.approvals.approve(waiting?.key ?? '', { by: principal });
    await expect(late).rejects.toMatchObject({ code: 'over' });
    expect(paid).toEqual([]);
  });

  it('is the same the second time, and changes nothing about a run that has ended', async () => {
    const { dispatcher, yard } = await yardWith();
    const { runId } = await dispatcher.submit({ messages: play({ ...says('Done.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    await Promise.all([1, 2, 3].map((n) => dispatcher.cancel(runId, { owner, by: `person ${n}` })));
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({
      state: 'cancelled',
      cancelled: { by: 'person 1' },
    });
    expect(yard.logged.filter(({ event }) => event === 'run.cancelled')).toMatchObject([
      { by: 'person 1', audit: true },
    ]);
    const ended = await dispatcher.submit({ messages: play(says('Done.')), principal });
    const before = await dispatcher.wait(ended.runId, { owner });
    expect(await dispatcher.cancel(ended.runId, { owner, by: 'late' })).toEqual(before);
    expect(before).toMatchObject({ state: 'completed', cancelled: undefined });
  });

  it('lets the next run of its conversation begin, over a conversation without open calls', async () => {
    const { tool } = oneAtATime();
    const { yard, dispatcher } = await yardWith([tool, act]);
    const submit = (...lines: Parameters<typeof play>) =>
      dispatcher.submit({ messages: play(...lines), principal, conversationId: 'c' });
    const first = await submit(proposes(ok), proposes(toolCall('one'), toolCall('one')), says('Never.'));
    const second = await submit(says('Waited.'));
    const third = await submit(says('Waited longer.'));
    await expect.poll(() => yard.redis.hexists(yard.names.run(first.runId), 'c:1.0')).toBe(1);
    await dispatcher.cancel(second.runId, { owner }); // while it waits
    expect(await statuses(dispatcher, second.runId)).toEqual(['cancelled', 'cancelled']);
    await dispatcher.cancel(first.runId, { owner });
    expect(await dispatcher.wait(third.runId, { owner })).toMatchObject({ state: 'completed', text: 'Waited longer.' });
    const said = await yard.redis.lrange(`${yard.names.conversation(owner, 'c')}:messages`, 0, -1);
    const roles = said.map((text) => (JSON.parse(text) as { role: string }).role);
    expect(roles).toEqual(['user', 'assistant', 'tool', 'assistant', 'tool', 'tool', 'user', 'assistant']);
  });

  it('keeps a dispatcher that does not know of it from enqueueing a call, or asking again', async () => {
    const { yard, model } = await yardWith();
    const [asked, answer] = [signal(), signal()];
    const slow: Model = {
      ...model,
      name: 'slow',
      async ask(request) {
        asked.resolve();
        await answer.promise;
        return model.ask(request);
      },
    };
    const dispatcher = await yard.dispatcher({ model: slow });
    const { runId } = await dispatcher.submit({ messages: play(proposes(ok, ok), says('Done.')), principal });
    await asked.promise;
    await yard.redis.hset(yard.names.run(runId), 'cancelledAt', '1'); // and nobody is told
    answer.resolve();
    expect(await statuses(dispatcher, runId)).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
    expect(await asksOf(yard, runId)).toEqual([1]);
    expect(await jobsOf(yard, runId)).toEqual([]);
    const fields = Object.keys(await yard.redis.hgetall(yard.names.run(runId)));
    expect(fields.filter((field) => field.startsWith('c:'))).toEqual([]);
    expect(await yard.redis.exists(`${yard.names.tag}:refused`)).toBe(0);
  });

  it('racing the enqueue of its calls, a hundred times, leaves none that is enqueued, and none without its outcome', async () => {
    const { yard, dispatcher } = await yardWith();
    const idle = await yard.dispatcher();
    const runs = await Promise.all(
      Array.from({ length: 100 }, async (_, i) => {
        const messages = play(proposes(ok, ok, ok), proposes(ok, ok), says('Done.'));
        const { runId } = await dispatcher.submit({ messages, principal });
        for (let tick = 0; tick < i % 10; tick += 1) await idle.show(runId, { owner });
        const sent = async () =>
          Object.keys(await yard.redis.hgetall(yard.names.run(runId))).filter((field) => field.startsWith('c:'));
        const { state } = await idle.cancel(runId, { owner });
        const before = await sent();
        const run = await idle.wait(runId, { owner });
        return { run, state, later: (await sent()).length - before.length };
      }),
    );
    expect(runs.map(({ later }) => later)).toEqual(runs.map(() => 0));
    for (const { run, state } of runs) {
      expect(run.state).toBe(state);
      const proposed = run.messages.flatMap((message) => ('tool_calls' in message ? (message.tool_calls ?? []) : []));
      expect(run.outcomes).toHaveLength(proposed.length);
      const answered = run.messages.filter(({ role }) => role === 'tool');
      expect(answered.map(({ content }) => String(content).includes('"cancelled"'))).toEqual(
        run.outcomes.map(({ status }) => status === 'cancelled'),
      );
    }
    expect(new Set(runs.map(({ run }) => run.state)).has('cancelled')).toBe(true);
    await expect.poll(async () => (await yard.redis.keys(`${yard.names.tag}:calls-*:wait`)).length).toBe(0);
  });

  it('holds though the connection breaks on its way', async () => {
    const { yard, dispatcher } = await yardWith();
    const proxy = await redisProxy(yard.redisUrl);
    const far = await yard.dispatcher({ redisUrl: proxy.url });
    const { runId } = await dispatcher.submit({ messages: play({ ...says('Done.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    proxy.cutAfter(1, new RegExp(runId));
    await far.cancel(runId, { owner, by: 'far' });
    expect(await far.wait(runId, { owner })).toMatchObject({ state: 'cancelled', cancelled: { by: 'far' } });
  });
});
