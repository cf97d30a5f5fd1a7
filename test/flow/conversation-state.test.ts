import { describe, expect, it } from 'vitest';
import { defineTool, Type, type ToolContext } from '@callyard/worker';
import { alone } from '../fixtures/tools/isolated.ts';
import { modelSaying, principal, proposes, says, setup, signal, toolCall } from '../support/setup.ts';

const { owner } = principal;

const tool = (name: string, handler: (args: object, ctx: ToolContext) => unknown, timeoutMs = 5_000) =>
  defineTool({
    name,
    version: '1.0.0',
    description: name,
    parameters: Type.Object({}),
    policy: { timeoutMs, retry: { attempts: 1 } },
    handler,
  });

const count = tool('count', (_args, { conversation }) =>
  conversation?.update(({ count: before = 0, ...rest }) => ({ ...rest, count: Number(before) + 1 })),
);
const look = tool('look', async (_args, { conversation }) =>
  conversation ? { id: conversation.id, ...(await conversation.state()) } : 'none',
);

describe('the state of a conversation', () => {
  it('is changed by all the calls of a turn, on two workers, and read by the dispatcher', async () => {
    const yard = await setup();
    await Promise.all([yard.worker([count]), yard.worker([count])]);
    const dispatcher = await yard.dispatcher();
    expect(await dispatcher.conversations.state('c', { owner })).toEqual({ version: 0, value: {} });
    await dispatcher.conversations.setState('c', { step: 'pay' }, { owner, expectedVersion: 0 });
    const calls = Array.from({ length: 20 }, () => toolCall('count'));
    const { outcomes } = await dispatcher.execute(calls, { principal, conversationId: 'c' });
    expect(outcomes.map(({ status }) => status)).toEqual(calls.map(() => 'completed'));
    const written = { version: 21, value: { step: 'pay', count: 20 } };
    expect(await dispatcher.conversations.state('c', { owner })).toEqual(written);
    expect(await dispatcher.conversations.setState('c', {}, { owner, expectedVersion: 20 })).toEqual({
      ok: false,
      current: written,
    });
  });

  it('is seen by handlers as it stands, and not where there is no conversation', async () => {
    const yard = await setup();
    await yard.worker([look]);
    const dispatcher = await yard.dispatcher();
    await dispatcher.conversations.setState('c', { step: 'pay' }, { owner, expectedVersion: 0 });
    const { outcomes } = await dispatcher.execute([toolCall('look')], { principal, conversationId: 'c' });
    expect(outcomes[0]?.value).toEqual({ id: 'c', version: 1, value: { step: 'pay' } });
    const other = await dispatcher.execute([toolCall('look')], {
      principal: { ...principal, owner: 'other' },
      conversationId: 'c',
    });
    expect(other.outcomes[0]?.value).toEqual({ id: 'c', version: 0, value: {} });
    const none = await dispatcher.execute([toolCall('look')], { principal });
    expect(none.outcomes[0]?.value).toBe('none');
  });

  it('is not changed by a handler that was aborted', async () => {
    const yard = await setup();
    const ended = signal<unknown>();
    const late = tool(
      'late',
      async (_args, { conversation, signal: abort }) => {
        await new Promise((resolve) => abort.addEventListener('abort', resolve));
        ended.resolve(conversation?.update(() => ({ by: 'late' })).catch((error: unknown) => String(error)));
      },
      50,
    );
    await yard.worker([late]);
    const dispatcher = await yard.dispatcher();
    await dispatcher.execute([toolCall('late')], { principal, conversationId: 'c' });
    expect(await ended.promise).toMatch(/took longer than 50 ms/);
    expect(await dispatcher.conversations.state('c', { owner })).toMatchObject({ version: 0 });
  });

  it.each(['in memory', 'durable'])('decides from turn to turn which tools a run, %s, is offered', async (kind) => {
    const yard = await setup();
    const order = tool('order', (_args, { conversation }) => conversation?.update(() => ({ step: 'pay' })));
    const pay = tool('pay', () => 'paid');
    await yard.worker([order, pay]);
    const model = modelSaying(proposes(toolCall('pay'), toolCall('order')), proposes(toolCall('pay')), says('Paid.'));
    const dispatcher = await yard.dispatcher({
      model,
      chooseTools: ({ name }, { state }) => name !== 'pay' || state.step === 'pay',
    });
    const run = { principal, conversationId: 'c', messages: [{ role: 'user', content: 'buy' }] as const };
    const { outcomes } = await (kind === 'durable'
      ? dispatcher.submit(run).then(({ runId }) => dispatcher.wait(runId, { owner }))
      : dispatcher.run(run));
    expect(outcomes.map(({ call, error, status }) => [call.name, error?.code ?? status])).toEqual([
      ['pay', 'unknown_tool'],
      ['order', 'completed'],
      ['pay', 'completed'],
    ]);
    const shown = model.requests.map(({ tools }) => tools.map(({ name }) => name).toSorted());
    expect(shown).toEqual([['order'], ['order', 'pay'], ['order', 'pay']]);
  });

  it('is out of reach of an isolated handler, which is told so', async () => {
    const yard = await setup();
    await yard.worker([alone]);
    const dispatcher = await yard.dispatcher();
    const call = toolCall('alone', { mode: 'state' });
    const { outcomes } = await dispatcher.execute([call], { principal, conversationId: 'c' });
    expect(outcomes[0]?.error).toMatchObject({
      code: 'tool_error',
      message: 'an isolated handler cannot reach the state of its conversation',
    });
    expect((await dispatcher.execute([call], { principal })).outcomes[0]?.value).toBe('no conversation');
  });
});
