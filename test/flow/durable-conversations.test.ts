import { describe, expect, it } from 'vitest';
import type { AssistantMessage, DispatcherOptions, Message } from '@callyard/dispatcher';
import { defineTool, Type } from '@callyard/worker';
import { asksOf, play, playedModel } from '../support/played-model.ts';
import { principal, proposes, says, setup, toolCall } from '../support/setup.ts';
import { act } from '../support/tools.ts';

const { owner } = principal;
const ok = toolCall('act', { mode: 'ok' });

/** Two dispatchers that drive runs of one conversation, and keep what their model was shown. */
async function yardOf(options: DispatcherOptions = {}, tools = [act]) {
  const yard = await setup();
  await yard.worker(tools);
  const shown: { runId: string; messages: Message[]; tools: string[] }[] = [];
  const played = playedModel(yard.redis, yard.names);
  const model: typeof played = {
    ...played,
    ask(request) {
      const { runId, messages } = request;
      shown.push({ runId, messages: [...messages], tools: request.tools.map(({ name }) => name) });
      return played.ask(request);
    },
  };
  const [one, two] = [await yard.dispatcher({ model, ...options }), await yard.dispatcher({ model, ...options })];
  const submit = async (messages: readonly Message[], more: Partial<Parameters<typeof one.submit>[0]> = {}, at = one) =>
    (await at.submit({ messages, principal, conversationId: 'c', ...more })).runId;
  const stored = async (): Promise<Message[]> => {
    const texts = await yard.redis.lrange(`${yard.names.conversation(owner, 'c')}:messages`, 0, -1);
    return texts.map((text) => JSON.parse(text) as Message);
  };
  return { yard, one, two, shown, submit, stored };
}

const roles = (messages: readonly Message[]): string => messages.map(({ role }) => role[0]).join('');

describe('a conversation', () => {
  it('goes on where it was, for its owner alone', async () => {
    const { one, two, shown, submit, stored } = await yardOf();
    await one.wait(await submit(play(proposes(ok), says('First.'))), { owner });
    const second = await submit(play(says('Second.')), {}, two);
    const run = await one.wait(second, { owner });
    expect(run).toMatchObject({ state: 'completed', conversationId: 'c' });
    expect(roles(run.messages)).toBe('ua'); // its own
    expect(roles(shown.at(-1)?.messages ?? [])).toBe('uatau');
    expect(roles(await stored())).toBe('uataua');
    const theirs = await submit(play(says('Mine.')), { principal: { ...principal, owner: 'other' } });
    await one.wait(theirs, { owner: 'other' });
    expect(roles(shown.at(-1)?.messages ?? [])).toBe('u');
  });

  it('has its runs one after the other, in the order they were accepted, over two dispatchers', async () => {
    const { yard, one, two, stored } = await yardOf();
    const pairs = Array.from({ length: 50 }, async (_, i) => {
      const submit = (at: typeof one, text: string) =>
        at.submit({ messages: play(proposes(ok), says(text)), principal, conversationId: `c${i}` });
      const both = await Promise.all([submit(one, 'one'), submit(two, 'two')]);
      const runs = await Promise.all(both.map(({ runId }) => two.wait(runId, { owner })));
      const texts = await yard.redis.lrange(`${yard.names.conversation(owner, `c${i}`)}:messages`, 0, -1);
      const said = texts.map((text) => JSON.parse(text) as Message);
      const [first, second] = runs.toSorted((a, b) => (a.startedAt ?? 0) - (b.startedAt ?? 0));
      return {
        roles: roles(said),
        order: said.flatMap(({ content }) => (content === 'one' || content === 'two' ? [content] : [])),
        expected: [first?.text, second?.text],
        isApart: (first?.endedAt ?? Number.NaN) <= (second?.startedAt ?? Number.NaN),
        isAsAccepted: (first?.createdAt ?? Number.NaN) <= (second?.createdAt ?? Number.NaN),
      };
    });
    for (const { order, expected, ...pair } of await Promise.all(pairs)) {
      expect(pair).toEqual({ roles: 'uatauata', isApart: true, isAsAccepted: true });
      expect(order).toEqual(expected);
    }
    expect(await stored()).toEqual([]);
  });

  it('refuses another run while one is under way, where that is asked for', async () => {
    const { yard, one, submit } = await yardOf();
    const first = await submit(play({ ...says('First.'), hangs: 1 }));
    await expect.poll(() => asksOf(yard, first)).toEqual([1]);
    const refused = submit(play(says('Second.')), { onBusy: 'refuse' });
    await expect(refused).rejects.toMatchObject({ code: 'busy', message: expect.stringContaining(first) as string });
    await one.cancel(first, { owner });
    await one.wait(first, { owner });
    const third = await submit(play(says('Third.')), { onBusy: 'refuse' });
    expect(await one.wait(third, { owner })).toMatchObject({ text: 'Third.' });
  });

  it('is not held up by a run whose deadline passes while it waits', async () => {
    const { yard, one, submit, shown } = await yardOf();
    const first = await submit(play({ ...says('First.'), hangs: 1 }));
    await expect.poll(() => asksOf(yard, first)).toEqual([1]);
    const late = await submit(play(says('Late.')), { timeoutMs: 200 });
    const patient = await submit(play(says('Patient.')));
    expect(await one.wait(late, { owner })).toMatchObject({ state: 'expired', stop: 'deadline', turns: 0 });
    expect(await one.show(first, { owner })).toMatchObject({ state: 'running' });
    await one.cancel(first, { owner });
    expect(await one.wait(patient, { owner })).toMatchObject({ state: 'completed', text: 'Patient.' });
    expect(shown.map(({ runId }) => runId)).toEqual([first, patient]);
  });

  it('has a run wait for its turn although a clock that is ahead brings it early', async () => {
    const { yard, one, submit, shown } = await yardOf();
    const first = await submit(play({ ...says('First.'), hangs: 1 }));
    await expect.poll(() => asksOf(yard, first)).toEqual([1]);
    const second = await submit(play(says('Second.')));
    const queue = `${yard.names.tag}:runs:`;
    await yard.redis.zadd(`${queue}delayed`, 1, second);
    await yard.redis.zadd(`${queue}marker`, 0, '0');
    const isAway = async () => Number(await yard.redis.zscore(`${queue}delayed`, second)) > 1;
    await expect.poll(isAway).toBe(true); // taken up, and put back
    expect(await one.show(second, { owner })).toMatchObject({ state: 'queued', holds: 0 });
    await one.cancel(first, { owner });
    expect(await one.wait(second, { owner })).toMatchObject({ state: 'completed' });
    expect(shown.map(({ runId }) => runId)).toEqual([first, second]);
  });

  it('goes on with the next run where Redis has lost the one that was under way', async () => {
    const { yard, one, submit } = await yardOf();
    const first = await submit(play({ ...says('First.'), hangs: 1 }));
    await expect.poll(() => asksOf(yard, first)).toEqual([1]);
    const [second, third] = [await submit(play(says('Second.'))), await submit(play(says('Third.')))];
    await yard.redis.del(yard.names.run(first));
    const fourth = await submit(play(says('Fourth.')));
    const runs = await Promise.all([second, third, fourth].map((runId) => one.wait(runId, { owner })));
    expect(runs.map(({ text }) => text)).toEqual(['Second.', 'Third.', 'Fourth.']);
    const starts = runs.map(({ startedAt }) => startedAt ?? 0);
    expect(starts).toEqual(starts.toSorted((a, b) => a - b));
  });

  it.each([
    ['failed', { maxTurns: 1 }, 'failed'],
    ['expired', { timeoutMs: 250 }, 'expired'],
  ])('can be gone on with after a run that %s', async (_how, bound, state) => {
    const { one, submit, stored } = await yardOf();
    const hang = toolCall('act', { mode: 'hang' });
    const run = await one.wait(await submit(play(proposes(ok, hang), proposes(hang, hang), says('No.')), bound), {
      owner,
    });
    expect(run.state).toBe(state);
    const said = await stored();
    const calls = said.flatMap((message) => (message as AssistantMessage).tool_calls ?? []);
    const answered = said.flatMap((message) => ('tool_call_id' in message ? [message.tool_call_id] : []));
    expect(answered).toEqual(calls.map(({ id }) => id));
    expect(await one.wait(await submit(play(says('Next.'))), { owner })).toMatchObject({ state: 'completed' });
  });

  it('shows the model its end where it is long, and keeps all of it', async () => {
    const { one, shown, submit, stored } = await yardOf({ maxHistoryTokens: 200 });
    const long = [{ role: 'system', content: 'Be brief.' } as const, ...play(proposes(ok), says('x'.repeat(600)))];
    await one.wait(await submit(long), { owner });
    await one.wait(await submit(play(says('Second.'))), { owner });
    expect(roles(shown.at(-1)?.messages ?? [])).toBe('su');
    expect(roles(await stored())).toBe('suataua');
  });

  it('that holds as much as it may takes no more', async () => {
    const { one, submit, stored } = await yardOf({ maxConversationBytes: 1_500 });
    await one.wait(await submit(play(says('x'.repeat(500)))), { owner });
    const before = await stored();
    await expect(submit(play(says('y'.repeat(500))))).rejects.toMatchObject({ code: 'full' });
    await expect(submit(play(says('y'.repeat(1_600))), { conversationId: 'd' })).rejects.toMatchObject({
      code: 'full',
    });
    expect(await stored()).toEqual(before);
    expect(await one.wait(await submit(play(says('Fits.'))), { owner })).toMatchObject({ text: 'Fits.' });
  });

  it('has a state that its tools change and that decides what is offered next', async () => {
    const advance = defineTool({
      name: 'advance',
      version: '1.0.0',
      description: 'Goes on to the next step',
      parameters: Type.Object({}),
      handler: (_args, ctx) => ctx.conversation?.update(() => ({ step: 'pay' })),
    });
    const chooseTools: DispatcherOptions['chooseTools'] = ({ name }, { state }) =>
      name === (state.step === 'pay' ? 'act' : 'advance');
    const { one, two, shown, submit } = await yardOf({ chooseTools }, [act, advance] as never);
    const run = await submit(play(proposes(toolCall('advance'), ok), proposes(ok), says('Done.')));
    const { outcomes } = await one.wait(run, { owner });
    expect(outcomes.map(({ status, error }) => error?.code ?? status)).toEqual([
      'completed',
      'unknown_tool',
      'completed',
    ]);
    expect(shown.map(({ tools }) => tools)).toEqual([['advance'], ['act'], ['act']]);
    expect(await two.conversations.state('c', { owner })).toEqual({ version: 1, value: { step: 'pay' } });
    await two.conversations.setState('c', {}, { owner, expectedVersion: 1 });
    await one.wait(await submit(play(says('Again.'))), { owner });
    expect(shown.at(-1)?.tools).toEqual(['advance']);
  });
});
