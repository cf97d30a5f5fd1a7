import { describe, expect, it } from 'vitest';
import type { Dispatcher } from '@callyard/dispatcher';
import { asksOf, play, playedModel } from '../support/played-model.ts';
import { principal, proposes, says, setup, toolCall } from '../support/setup.ts';
import { act } from '../support/tools.ts';
import { redisProxy } from '../support/redis-proxy.ts';

const { owner } = principal;
const messages = play(proposes(toolCall('act', { mode: 'ok' })), says('Done.'));

async function twoDispatchers() {
  const yard = await setup();
  await yard.worker([act]);
  const model = playedModel(yard.redis, yard.names);
  const [one, two] = await Promise.all([yard.dispatcher({ model }), yard.dispatcher({ model })]);
  return { yard, one, two };
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => 'done',
    (error: { code?: string }) => error.code,
  );

const jobsLeft = async ({ redis, names: { tag } }: Awaited<ReturnType<typeof setup>>) =>
  Promise.all(['wait', 'active', 'delayed'].map((set) => redis.exists(`${tag}:runs:${set}`)));

describe('a run that is submitted with a key', () => {
  it('is one run, however often, from wherever and whenever it is submitted', async () => {
    const { yard, one, two } = await twoDispatchers();
    const submit = (dispatcher: Dispatcher) => dispatcher.submit({ messages, principal, key: 'k' });
    const many = await Promise.all(Array.from({ length: 20 }, (_, i) => submit(i % 2 === 0 ? one : two)));
    const { runId = '' } = many[0] ?? {};
    expect(new Set(many.map((answer) => answer.runId))).toEqual(new Set([runId]));
    expect(many.filter(({ isNew }) => isNew)).toHaveLength(1);
    await one.wait(runId, { owner });
    expect(await submit(two)).toEqual({ runId, isNew: false });
    expect(await asksOf(yard, runId)).toEqual([1, 1]);
    await expect.poll(() => jobsLeft(yard)).toEqual([0, 0, 0]);
    expect(yard.logged.filter(({ event }) => event === 'run.gone')).toEqual([]); // no job without a run
    expect(await yard.redis.keys(`${yard.names.tag}:runs:*-*-*-*`)).toEqual([]);
  });

  it('is a conflict with another request of that key, and nothing to another owner', async () => {
    const { one, two } = await twoDispatchers();
    const { runId } = await one.submit({ messages, principal, key: 'k' });
    const differently = [{ messages: play(says('No.')) }, { mode: 'sequential' }, { maxTurns: 3 }] as const;
    for (const other of differently) {
      expect(await codeOf(two.submit({ messages, principal, key: 'k', ...other }))).toBe('conflict');
    }
    const theirs = await two.submit({ messages, principal: { ...principal, owner: 'other' }, key: 'k' });
    expect(theirs).toEqual({ runId: expect.not.stringContaining(runId) as string, isNew: true });
    expect(await one.wait(theirs.runId, { owner: 'other' })).toMatchObject({ state: 'completed' });
    expect(await one.wait(runId, { owner })).toMatchObject({ state: 'completed', turns: 2 });
  });

  it('is a new run once its record has expired, and runs its calls anew', async () => {
    const { yard, one } = await twoDispatchers();
    const failing = play(proposes(toolCall('act', { mode: 'throw' })), says('Done.'));
    const first = await one.submit({ messages: failing, principal, key: 'k' });
    await one.wait(first.runId, { owner });
    await yard.redis.del(yard.names.run(first.runId));
    const second = await one.submit({ messages: failing, principal, key: 'k' });
    expect(second.isNew).toBe(true);
    const { outcomes } = await one.wait(second.runId, { owner });
    expect(outcomes).toMatchObject([{ status: 'failed', attempts: 1 }]);
    expect(outcomes[0]?.key).toContain(second.runId);
  });

  it('is one run and new to its submitter also when the connection breaks on the way', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const proxy = await redisProxy(yard.redisUrl);
    const dispatcher = await yard.dispatcher({ redisUrl: proxy.url });
    const driving = await yard.dispatcher({ model: playedModel(yard.redis, yard.names) });
    proxy.cutAfter(1, /exec\r\n/i);
    const { runId, isNew } = await dispatcher.submit({ messages, principal, key: 'k', model: 'played' });
    expect(isNew).toBe(true);
    expect(await driving.wait(runId, { owner })).toMatchObject({ state: 'completed', turns: 2 });
    expect(await asksOf(yard, runId)).toEqual([1, 1]);
    await expect.poll(() => jobsLeft(yard)).toEqual([0, 0, 0]);
  });

  it.each([
    ['no messages', { messages: [] }, 'at least one message'],
    ['a predicate', { tools: (() => true) as never }, 'use chooseTools'],
    ['a tool that nobody serves', { tools: ['atc'] }, 'no live worker serves atc'],
  ])('is refused with %s, and nothing is left of it', async (_what, wrong, why) => {
    const { yard, one } = await twoDispatchers();
    await expect(one.submit({ messages, principal, key: 'k', ...wrong })).rejects.toThrow(why);
    expect(await yard.redis.keys(`${yard.names.tag}:run:*`)).toEqual([]);
    expect(await jobsLeft(yard)).toEqual([0, 0, 0]);
  });
});
