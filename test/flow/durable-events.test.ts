import { describe, expect, it } from 'vitest';
import type { Dispatcher, RunEvent } from '@callyard/dispatcher';
import { defineTool, Type } from '@callyard/worker';
import { payments, waitingFor } from '../support/approvals.ts';
import { asksOf, play, playedModel } from '../support/played-model.ts';
import { principal, proposes, says, setup, signal, toolCall, type Callyard } from '../support/setup.ts';
import { act } from '../support/tools.ts';
import { alone } from '../fixtures/tools/isolated.ts';

const { owner } = principal;

/** A tool that tells how far it is, and goes on when it is let; `told` resolves when it has. */
function steps() {
  const [go, told] = [signal(), signal()];
  const tool = defineTool({
    name: 'steps',
    version: '1.0.0',
    description: 'Tells how far it is',
    parameters: Type.Object({}),
    async handler(_args, ctx) {
      ctx.progress({ done: 1 });
      told.resolve();
      await go.promise;
      return 'done';
    },
  });
  return { tool, go: () => go.resolve(), told: told.promise };
}

async function yardWith(...tools: Parameters<Callyard['worker']>[0][number][]) {
  const yard = await setup();
  await yard.worker([act, ...tools]);
  return { yard, dispatcher: await yard.dispatcher({ model: playedModel(yard.redis, yard.names) }) };
}

/** Reads to the end, or until it has `most`. */
async function read(dispatcher: Dispatcher, runId: string, after?: number, most = 1_000): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for await (const event of dispatcher.events(runId, { owner, ...(after === undefined ? {} : { after }) })) {
    events.push(event);
    if (events.length === most) break;
  }
  return events;
}

const told = (events: readonly RunEvent[]): string[] =>
  events.map((event) => ('state' in event ? `${event.type} ${event.state}` : event.type));

const numbers = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

const ids = (events: readonly RunEvent[]): number[] => events.map(({ id }) => id);

/** Whether a channel is listened to. */
const listeners = async ({ redis, names }: Callyard, runId: string): Promise<number> => {
  const [, count] = (await redis.pubsub('NUMSUB', names.runEvents(runId))) as [string, number];
  return count;
};

describe('the events of a run', () => {
  it('tell all that happens, in order and without a gap', async () => {
    const { dispatcher } = await yardWith();
    const messages = play(proposes(toolCall('act', { mode: 'ok' }), toolCall('nothing')), says('All done.'));
    const { runId } = await dispatcher.submit({ messages, principal, events: true });
    const events = await read(dispatcher, runId);
    expect(ids(events)).toEqual(numbers(1, events.length));
    expect(told(events)).toEqual([
      'state running',
      'model.started',
      'model.finished',
      'call.started',
      'call.finished',
      'call.finished',
      'model.started',
      'model.delta',
      'model.finished',
      'end completed',
    ]);
    expect(events[2]).toMatchObject({ turn: 0, calls: [{ key: `${runId}.0.0`, tool: 'act' }, { tool: 'nothing' }] });
    expect(events[4]).toMatchObject({ key: `${runId}.0.0`, status: 'completed' });
    expect(events[5]).toMatchObject({ key: `${runId}.0.1`, status: 'refused', code: 'unknown_tool' });
    expect(events[7]).toMatchObject({ turn: 1, text: 'All done.' });
    expect(events[9]).toMatchObject({ stop: 'answer' });
  });

  it('are not written while nobody asks for them', async () => {
    const { yard, dispatcher } = await yardWith();
    const messages = play(proposes(toolCall('act', { mode: 'ok' })), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal });
    await dispatcher.wait(runId, { owner });
    expect(await yard.redis.exists(yard.names.runEvents(runId))).toBe(0);
    expect(told(await read(dispatcher, runId))).toEqual(['end completed']);
    expect(told(await read(dispatcher, runId))).toEqual(['end completed']); // once
  });

  it('begin, for a reader that comes late, with where the run stands', async () => {
    const { tool, go, told: isAtWork } = steps();
    const { yard, dispatcher } = await yardWith(tool);
    const { runId } = await dispatcher.submit({
      messages: play(proposes(toolCall('steps')), says('Done.')),
      principal,
    });
    await isAtWork; // what its worker tells of its start has been told to nobody
    const reads = read(dispatcher, runId);
    await expect.poll(() => yard.redis.xlen(yard.names.runEvents(runId))).toBe(1);
    go();
    const events = await reads;
    expect(told(events).slice(0, 2)).toEqual(['state running', 'call.finished']);
    expect(told(events).slice(2)).toEqual(['model.started', 'model.delta', 'model.finished', 'end completed']);
  });

  it('are missed by nobody who comes back with the last one it has, and told to nobody twice', async () => {
    const { tool, go } = steps();
    const { yard, dispatcher } = await yardWith(tool);
    const other = await yard.dispatcher();
    const messages = play(proposes(toolCall('steps')), says('a b c'), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal, events: true });
    const whole = read(other, runId);
    const before = await read(dispatcher, runId, undefined, 3);
    await expect.poll(() => listeners(yard, runId)).toBe(1); // the other reader alone
    go();
    await dispatcher.wait(runId, { owner });
    const after = await read(other, runId, before.at(-1)?.id);
    expect([...before, ...after]).toEqual(await whole);
    expect(ids(await whole)).toEqual(numbers(1, before.length + after.length));
    expect(await listeners(yard, runId)).toBe(0);
  });

  it('end at once for a reader that has the last', async () => {
    const { dispatcher } = await yardWith();
    const { runId } = await dispatcher.submit({ messages: play(says('Done.')), principal, events: true });
    const last = (await read(dispatcher, runId)).at(-1)?.id;
    expect(await read(dispatcher, runId, last)).toEqual([]);
  });

  it('are an error where one is asked for that is not there yet, or not any more', async () => {
    const { yard, dispatcher } = await yardWith();
    const { runId } = await dispatcher.submit({ messages: play(says('Done.')), principal, events: true });
    const { length } = await read(dispatcher, runId);
    await expect(read(dispatcher, runId, length + 1)).rejects.toMatchObject({ code: 'no_event' });
    await yard.redis.xtrim(yard.names.runEvents(runId), 'MAXLEN', '=', 1);
    await expect(read(dispatcher, runId, 1)).rejects.toMatchObject({ code: 'no_event' });
    expect(told(await read(dispatcher, runId))).toEqual(['end completed']);
    await yard.redis.xtrim(yard.names.runEvents(runId), 'MAXLEN', '=', 0);
    await expect(read(dispatcher, runId, 1)).rejects.toMatchObject({ code: 'no_event' });
    expect(await read(dispatcher, runId, length)).toEqual([]);
  });

  it('are read by many at once on one subscription, which goes with the last of them', async () => {
    const { yard, dispatcher } = await yardWith();
    const { runId } = await dispatcher.submit({ messages: play({ ...says('Done.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    const stop = new AbortController();
    const reads = Array.from({ length: 20 }, () => dispatcher.events(runId, { owner, signal: stop.signal }));
    for (const one of reads) expect((await one.next()).value).toMatchObject({ type: 'state', state: 'running' });
    expect(await listeners(yard, runId)).toBe(1);
    const rest = reads.map((one) => one.next());
    stop.abort(new Error('enough'));
    for (const one of await Promise.allSettled(rest)) expect(one).toMatchObject({ reason: { message: 'enough' } });
    await expect.poll(() => listeners(yard, runId)).toBe(0);
  });

  it('carry what handlers tell of their progress, isolated or not', async () => {
    const { tool, go } = steps();
    const { dispatcher } = await yardWith(tool, alone);
    const messages = play(proposes(toolCall('steps'), toolCall('alone', { mode: 'progress' })), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal, events: true });
    const events: RunEvent[] = [];
    for await (const event of dispatcher.events(runId, { owner })) {
      events.push(event);
      if (event.type === 'call.finished') go(); // the isolated one
    }
    const progress = events.flatMap((event) => (event.type === 'call.progress' ? [[event.tool, event.progress]] : []));
    expect(progress).toHaveLength(2);
    expect(progress).toEqual(
      expect.arrayContaining([
        ['steps', { done: 1 }],
        ['alone', { half: true }],
      ]),
    );
  });

  it('tell what a call waits for, and what a person decided', async () => {
    const { pay, paid } = payments();
    const one = defineTool({
      name: 'one',
      version: '1.0.0',
      description: 'Runs alone',
      parameters: Type.Object({}),
      policy: { limits: [{ per: ['user'], concurrency: 1 }] },
      handler: () => 'done',
    });
    const { dispatcher } = await yardWith(pay, one);
    const calls = [toolCall('one'), toolCall('one'), toolCall('pay', { amount: 3 })];
    // In the first turn a call may wait for its worker, which has just come.
    const messages = play(proposes(toolCall('one')), proposes(...calls), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal, events: true });
    const reads = read(dispatcher, runId);
    const [waiting] = await waitingFor(dispatcher);
    await dispatcher.approvals.approve(waiting?.key ?? '', { by: { ...principal, userId: 'boss' }, why: 'fine' });
    const events = await reads;
    const waits = events.find((event) => event.type === 'call.waiting' && event.key === `${runId}.1.1`);
    expect(waits).toMatchObject({ tool: 'one', reason: 'concurrency' });
    const needed = events.find(({ type }) => type === 'approval.needed');
    expect(needed).toMatchObject({ tool: 'pay', key: waiting?.key, expiresAt: waiting?.dueAt });
    const decided = events.find(({ type }) => type === 'approval.decided');
    expect(decided).toMatchObject({ tool: 'pay', decision: 'approved', by: 'boss', why: 'fine' });
    expect(decided?.id).toBeGreaterThan(needed?.id ?? Number.NaN);
    expect(paid).toEqual([3]);
    expect(ids(events)).toEqual(numbers(1, events.length));
  });

  it('end as gone when Redis has lost the run', async () => {
    const { yard, dispatcher } = await yardWith();
    const { runId } = await dispatcher.submit({ messages: play({ ...says('Done.'), hangs: 1 }), principal });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    const reads = read(dispatcher, runId);
    await expect.poll(() => listeners(yard, runId)).toBe(1);
    await yard.redis.del(await yard.redis.keys(`${yard.names.tag}:*`));
    await expect(reads).rejects.toMatchObject({ code: 'gone' });
  });
});
