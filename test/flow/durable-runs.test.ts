import { describe, expect, it } from 'vitest';
import { asksOf, play, playedModel } from '../support/played-model.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { principal, proposes, says, setup, toolCall } from '../support/setup.ts';
import { act } from '../support/tools.ts';

const { owner } = principal;
const ok = (text = '') => toolCall('act', { mode: 'ok', text });
const slow = (text: string, ms: number) => toolCall('act', { mode: 'slow', text, ms });

/** A worker with the tool, and dispatchers that all drive runs of the same model. */
async function yardOf(count = 1, options: Parameters<Awaited<ReturnType<typeof setup>>['dispatcher']>[0] = {}) {
  const yard = await setup();
  await yard.worker([act]);
  const model = playedModel(yard.redis, yard.names);
  const [first, ...others] = await Promise.all(
    Array.from({ length: count }, () => yard.dispatcher({ model, ...options })),
  );
  if (!first) throw new Error('no dispatcher');
  return { yard, model, dispatcher: first, others };
}

describe('a durable run', () => {
  it('is submitted, driven to its end, and waited for', async () => {
    const { dispatcher } = await yardOf();
    const messages = play(proposes(slow('first', 40), ok('second'), slow('third', 20)), says('All done.'));
    const { runId, isNew } = await dispatcher.submit({ messages, principal });
    expect(isNew).toBe(true);
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'completed', stop: 'answer', text: 'All done.', turns: 2, holds: 1 });
    expect(run.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'tool', 'tool', 'assistant']);
    expect(run.outcomes.map(({ value }) => (value as { text: string }).text)).toEqual(['first', 'second', 'third']);
  });

  it('is waited for at any dispatcher, also at one that drives none, and after it has ended', async () => {
    const { yard, dispatcher } = await yardOf();
    const idle = await yard.dispatcher();
    const { runId } = await dispatcher.submit({ messages: play(proposes(slow('', 50)), says('Done.')), principal });
    const runs = await Promise.all([idle.wait(runId, { owner }), idle.wait(runId, { owner })]);
    expect(runs.map(({ text }) => text)).toEqual(['Done.', 'Done.']);
    expect(await idle.wait(runId, { owner })).toEqual(runs[0]);
  });

  it('goes on when whoever waits for it does not', async () => {
    const { dispatcher } = await yardOf();
    const { runId } = await dispatcher.submit({ messages: play(proposes(slow('', 100)), says('Done.')), principal });
    const stop = new AbortController();
    const waits = dispatcher.wait(runId, { owner, signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(waits).rejects.toThrow('enough');
    await expect(dispatcher.wait(runId, { owner, signal: stop.signal })).rejects.toThrow('enough');
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed' });
  });

  it('is shown as it stands: queued, running, ended', async () => {
    const { yard, dispatcher } = await yardOf(1, { maxRuns: 1 });
    const first = await dispatcher.submit({ messages: play({ ...says('First.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, first.runId)).toEqual([1]);
    const second = await dispatcher.submit({ messages: play(says('Second.')), principal });
    const running = await dispatcher.show(first.runId, { owner });
    expect(running).toMatchObject({ state: 'running', holder: dispatcher.id, turns: 0, endedAt: undefined });
    const queued = await dispatcher.show(second.runId, { owner });
    expect(queued).toMatchObject({ state: 'queued', startedAt: undefined, holds: 0, userId: 'mia', model: 'played' });
    expect(queued.deadlineAt).toBe(running.deadlineAt + queued.deadlineAt - running.deadlineAt);
    await dispatcher.cancel(first.runId, { owner });
    const ended = await dispatcher.wait(second.runId, { owner });
    expect(ended).toMatchObject({ state: 'completed', holder: undefined, holds: 1 });
    expect(ended.endedAt).toBeGreaterThanOrEqual(ended.startedAt ?? 0);
  });

  it('is as unknown to another owner as one that is not there', async () => {
    const { dispatcher } = await yardOf();
    const { runId } = await dispatcher.submit({ messages: play(says('Done.')), principal });
    const asks = (id: string, by: string) => [
      dispatcher.show(id, { owner: by }),
      dispatcher.wait(id, { owner: by }),
      dispatcher.cancel(id, { owner: by }),
      dispatcher.events(id, { owner: by }).next(),
    ];
    const errors = async (all: Promise<unknown>[]) =>
      (await Promise.allSettled(all)).map((one) => (one.status === 'rejected' ? (one.reason as Error) : undefined));
    const strange = await errors(asks(runId, 'other'));
    const absent = await errors(asks('none', owner));
    expect(strange.map((error) => error?.message.replace(runId, 'none'))).toEqual(
      absent.map((error) => error?.message),
    );
    expect(strange.map((error) => (error as { code?: string }).code)).toEqual(
      Array.from({ length: 4 }, () => 'unknown'),
    );
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', cancelled: undefined });
  });

  it('waits for a dispatcher that has its model, and is ended without one when it is over', async () => {
    const yard = await setup();
    const [other, mine] = [playedModel(yard.redis, yard.names, 'other'), playedModel(yard.redis, yard.names, 'mine')];
    const without = await yard.dispatcher({ model: other });
    const messages = play(says('Done.'));
    const { runId } = await without.submit({ messages, principal, model: 'mine' });
    const late = await without.submit({ messages, principal, model: 'nobody', timeoutMs: 200 });
    const unwanted = await without.submit({ messages, principal, model: 'nobody' });
    await without.cancel(unwanted.runId, { owner });
    expect(await without.wait(late.runId, { owner })).toMatchObject({ state: 'expired', turns: 0 });
    expect(await without.wait(unwanted.runId, { owner })).toMatchObject({ state: 'cancelled', turns: 0 });
    expect(await without.show(runId, { owner })).toMatchObject({ state: 'queued' });
    const having = await yard.dispatcher({ models: [mine] });
    expect(await having.wait(runId, { owner })).toMatchObject({ state: 'completed', text: 'Done.' });
  });

  it('comes to the dispatcher that has its model, though another one is always faster', async () => {
    const yard = await setup();
    await yard.dispatcher({ model: playedModel(yard.redis, yard.names, 'other') });
    const proxy = await redisProxy(yard.redisUrl);
    const model = playedModel(yard.redis, yard.names, 'mine');
    const having = await yard.dispatcher({ models: [model], redisUrl: proxy.url });
    proxy.slowBy(15);
    const messages = play(says('Done.'));
    const submit = () => having.submit({ messages, principal, model: 'mine' });
    const submitted = await Promise.all(Array.from({ length: 3 }, submit));
    const states = submitted.map(async ({ runId }) => (await having.wait(runId, { owner })).state);
    expect(await Promise.all(states)).toEqual(['completed', 'completed', 'completed']);
  });

  it('waits for tools that it names and that no worker serves any more, and ends without them', async () => {
    const yard = await setup();
    const worker = await yard.worker([act]);
    const submitting = await yard.dispatcher();
    const run = { principal, model: 'played' };
    const named = { ...run, messages: play(proposes(ok('x')), says('Done.')), tools: ['act'] };
    const ends = await submitting.submit(named);
    const between = await submitting.submit({ ...run, messages: play({ ...says('Never.'), hangs: 1 }) });
    const waits = await submitting.submit(named);
    await worker.close();
    const model = playedModel(yard.redis, yard.names);
    await yard.dispatcher({ model, maxRuns: 1, unservedMs: 300 });
    const ended = await submitting.wait(ends.runId, { owner });
    expect(ended).toMatchObject({ state: 'failed', stop: 'tools_unavailable', turns: 0 });
    expect(ended.error).toContain('no live worker serves act');
    await expect.poll(() => asksOf(yard, between.runId)).toEqual([1]); // keeps the hasty one from the last
    const patient = await yard.dispatcher({ model, unservedMs: 60_000 });
    await expect.poll(async () => (await submitting.show(waits.runId, { owner })).holder).toBe(patient.id);
    await yard.worker([act]);
    expect(await submitting.wait(waits.runId, { owner })).toMatchObject({ state: 'completed', text: 'Done.' });
  });

  it('that waits for its tools is handed over at once by a dispatcher that closes, and cancelled at once', async () => {
    const yard = await setup();
    const worker = await yard.worker([act]);
    const submitting = await yard.dispatcher();
    const run = { messages: play(says('Done.')), principal, tools: ['act'], model: 'played' };
    const { runId } = await submitting.submit(run);
    await worker.close();
    const model = playedModel(yard.redis, yard.names);
    const patient = { model, unservedMs: 60_000 };
    const closing = await yard.dispatcher(patient);
    const holder = async () => (await submitting.show(runId, { owner })).holder;
    await expect.poll(holder).toBe(closing.id);
    await closing.close();
    expect(await holder()).toBeUndefined();
    const driving = await yard.dispatcher(patient);
    await expect.poll(holder).toBe(driving.id); // long before the lock of the first would have run out
    await submitting.cancel(runId, { owner });
    expect(await submitting.wait(runId, { owner })).toMatchObject({ state: 'cancelled', turns: 0, holds: 2 });
  });

  it('runs its calls one after the other where it is to, and stops at the first failure', async () => {
    const { dispatcher } = await yardOf();
    const messages = play(proposes(ok('a'), toolCall('act', { mode: 'throw' }), ok('c')), says('Done.'));
    const statuses = async (mode: 'sequential' | 'sequential-until-failure') => {
      const { runId } = await dispatcher.submit({ messages, principal, mode });
      const { state, stop, outcomes } = await dispatcher.wait(runId, { owner });
      return [state, stop, ...outcomes.map(({ status }) => status)];
    };
    expect(await statuses('sequential')).toEqual(['completed', 'answer', 'completed', 'failed', 'completed']);
    const stopped = await statuses('sequential-until-failure');
    expect(stopped).toEqual(['failed', 'failure', 'completed', 'failed', 'cancelled']);
  });

  it('takes calls in the form before tool_calls, and answers them in it', async () => {
    const { dispatcher } = await yardOf();
    const legacy = { role: 'assistant', content: null, function_call: { name: 'act', arguments: '{"mode":"ok"}' } };
    const { runId } = await dispatcher.submit({ messages: play(legacy as never, says('Done.')), principal });
    const run = await dispatcher.wait(runId, { owner });
    expect(run.messages[2]).toMatchObject({ role: 'function', name: 'act', content: '{"text":""}' });
    expect(run).toMatchObject({ state: 'completed', turns: 2 });
  });

  it('answers a call of a tool that was not offered without a job, and goes on', async () => {
    const { yard, dispatcher } = await yardOf();
    const messages = play(proposes(toolCall('nothing'), ok('x')), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal });
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'completed', turns: 2 });
    expect(run.outcomes.map(({ status, error }) => error?.code ?? status)).toEqual(['unknown_tool', 'completed']);
    const held = await yard.redis.hgetall(yard.names.run(runId));
    expect(Object.keys(held).filter((field) => field.startsWith('c:'))).toEqual(['c:0.1']);
  });

  it('is expired at its deadline, and its request of the model is aborted', async () => {
    const { dispatcher } = await yardOf();
    const asked = { messages: play({ ...says('Late.'), hangs: 1 }), principal, timeoutMs: 150 };
    const { runId } = await dispatcher.submit(asked);
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'expired', stop: 'deadline', turns: 0, text: undefined });
  });

  it('that can be neither driven nor given back is taken up again', async () => {
    const yard = await setup();
    const submitting = await yard.dispatcher();
    const { runId } = await submitting.submit({ messages: play(says('Done.')), principal, model: 'played' });
    const key = yard.names.run(runId);
    await yard.redis.rename(key, `${key}:aside`);
    await yard.redis.set(key, 'of another type: every script fails');
    await yard.dispatcher({ model: playedModel(yard.redis, yard.names), lockMs: 600, stalledCheckMs: 200 });
    await expect.poll(() => yard.logged.filter(({ event }) => event === 'run.left').length).toBeGreaterThan(0);
    await yard.redis.rename(`${key}:aside`, key);
    expect(await submitting.wait(runId, { owner })).toMatchObject({ state: 'completed', text: 'Done.' });
  });

  it('whose driving fails again and again is failed, and a dispatcher that serves others goes on', async () => {
    const { yard, dispatcher } = await yardOf(1, { maxRuns: 1 });
    const { runId } = await dispatcher.submit({ messages: play({ ...says('First.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    const broken = await dispatcher.submit({ messages: play(says('Done.')), principal });
    await yard.redis.hset(yard.names.run(broken.runId), 'messages', 'no JSON');
    await yard.redis.hset(`${yard.names.tag}:runs:${broken.runId}`, 'progress', '4');
    await dispatcher.cancel(runId, { owner });
    await dispatcher.wait(runId, { owner });
    const fine = await dispatcher.submit({ messages: play(says('Done.')), principal });
    expect(await dispatcher.wait(fine.runId, { owner })).toMatchObject({ state: 'completed' });
    const end = JSON.parse((await yard.redis.hget(yard.names.run(broken.runId), 'end')) ?? '{}') as object;
    expect(end).toMatchObject({ state: 'failed', stop: 'internal_error' });
  });
});
