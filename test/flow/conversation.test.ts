import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { modelSaying, principal, proposes, says, setup, toolCall } from '../support/setup.ts';
import { act } from '../support/tools.ts';

const user = { role: 'user', content: 'go' } as const;

describe('a conversation', () => {
  it('goes to the workers and comes back in the order of the calls', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const calls = [
      toolCall('act', { mode: 'slow', text: 'first', ms: 60 }),
      toolCall('act', { mode: 'ok', text: 'second' }),
      toolCall('act', { mode: 'slow', text: 'third', ms: 30 }),
    ];
    const model = modelSaying(proposes(...calls), says('All done.'));
    const result = await dispatcher.run({ messages: [user], principal, model });
    expect(result).toMatchObject({ state: 'completed', stop: 'answer', text: 'All done.', turns: 2 });
    expect(result.messages.map(({ role }) => role)).toEqual(['user', 'assistant', 'tool', 'tool', 'tool', 'assistant']);
    expect(result.outcomes.map(({ value }) => (value as { text: string }).text)).toEqual(['first', 'second', 'third']);
    expect(result.messages.slice(2, 5).map((message) => message.tool_call_id)).toEqual(calls.map(({ id }) => id));
  });

  it('lets the model repair a call it got wrong, and keeps its siblings unharmed', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const model = modelSaying(
      proposes(
        toolCall('act', { mode: 'okay' }),
        toolCall('act', '{"mode":'),
        toolCall('act', { mode: 'ok', text: 'fine' }),
      ),
      proposes(toolCall('act', { mode: 'ok', text: 'repaired' })),
      says('Good.'),
    );
    const { outcomes, state, messages } = await dispatcher.run({ messages: [user], principal, model });
    expect(state).toBe('completed');
    expect(outcomes.map(({ error, status }) => error?.code ?? status)).toEqual([
      'invalid_arguments',
      'malformed_arguments',
      'completed',
      'completed',
    ]);
    expect(messages[2]?.content).toContain('/mode');
  });

  it('answers a call of a tool that was not offered without a job', async () => {
    const yard = await setup();
    const secret = defineTool({ ...base('secret_report'), handler: () => 'secret' });
    await yard.worker([act, secret]);
    const dispatcher = await yard.dispatcher();
    const model = modelSaying(proposes(toolCall('secret_report'), toolCall('actt')), says('Oh.'));
    const { outcomes } = await dispatcher.run({ messages: [user], principal, model, tools: ['act'] });
    expect(outcomes.map(({ error }) => error?.code)).toEqual(['unknown_tool', 'unknown_tool']);
    expect(outcomes[1]?.error?.suggestion).toBe('Did you mean act?');
    expect(outcomes.every(({ settledBy }) => settledBy === 'dispatcher')).toBe(true);
  });

  it('offers by default the tools whose requirements the principal meets, and the worker checks again', async () => {
    const yard = await setup();
    const refund = defineTool({ ...base('refund'), policy: { requires: ['role:support'] }, handler: () => 'done' });
    await yard.worker([act, refund]);
    const dispatcher = await yard.dispatcher();
    const model = modelSaying(proposes(toolCall('refund')), says('Hm.'));
    const offered = await dispatcher.run({ messages: [user], principal, model });
    expect(offered.outcomes[0]?.error?.code).toBe('unknown_tool');
    expect(model.requests[0]?.tools.map(({ name }) => name)).toEqual(['act']);

    const named = modelSaying(proposes(toolCall('refund')), says('Hm.'));
    const refused = await dispatcher.run({ messages: [user], principal, model: named, tools: ['refund'] });
    expect(refused.outcomes[0]?.error).toMatchObject({
      code: 'permission_denied',
      details: { missing: ['role:support'] },
    });
    // The worker writes the record once the outcome is told.
    const record = { audit: true, code: 'permission_denied', owner: 'acme', user_id: 'mia', tool: 'refund' };
    await expect.poll(() => yard.logged).toContainEqual(expect.objectContaining(record));

    const support = { ...principal, roles: ['support'] };
    const allowed = modelSaying(proposes(toolCall('refund')), says('Done.'));
    const done = await dispatcher.run({ messages: [user], principal: support, model: allowed });
    expect(done.outcomes[0]).toMatchObject({ status: 'completed', value: 'done' });
  });

  it('selects tools by category and by predicate, and names the nearest to a name nobody serves', async () => {
    const yard = await setup();
    const math = defineTool({ ...base('add'), category: 'math', handler: () => 3 });
    await yard.worker([act, math]);
    const dispatcher = await yard.dispatcher();
    const offeredBy = async (tools: Parameters<typeof dispatcher.run>[0]['tools']) => {
      const model = modelSaying(says('Hi.'));
      await dispatcher.run({ messages: [user], principal, model, ...(tools && { tools }) });
      return model.requests[0]?.tools.map(({ name }) => name);
    };
    expect(await offeredBy({ categories: ['math'] })).toEqual(['add']);
    expect(await offeredBy(({ name }) => name === 'act')).toEqual(['act']);
    await expect(offeredBy(['ad'])).rejects.toThrow('no live worker serves ad; did you mean add?');
  });

  it('passes the choice of tool and the wish for parallel calls through', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const model = modelSaying(says('Hi.'));
    await dispatcher.run({ messages: [user], principal, model, toolChoice: { name: 'act' }, parallel: false });
    expect(model.requests[0]).toMatchObject({ toolChoice: { name: 'act' }, parallel: false });
  });

  it('answers a legacy function_call with a function message', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const legacy = {
      role: 'assistant',
      content: null,
      function_call: toolCall('act', { mode: 'ok', text: 'old' }).function,
    } as const;
    const { messages } = await dispatcher.run({
      messages: [user],
      principal,
      model: modelSaying(legacy, says('Old but gold.')),
    });
    expect(messages[2]).toEqual({ role: 'function', name: 'act', content: '{"text":"old"}' });
  });
});

describe('the limits of a run', () => {
  const again = () => proposes(toolCall('act', { mode: 'ok' }));

  it('ends after maxTurns responses, their calls answered', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const result = await dispatcher.run({
      messages: [user],
      principal,
      maxTurns: 2,
      model: modelSaying(again(), again()),
    });
    expect(result).toMatchObject({ state: 'failed', stop: 'max_turns', turns: 2 });
    expect(result.messages.at(-1)?.role).toBe('tool');
  });

  it('answers calls beyond the room of a turn without running them', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher({ maxCallsPerTurn: 2 });
    const many = proposes(...Array.from({ length: 4 }, () => toolCall('act', { mode: 'ok' })));
    const { outcomes } = await dispatcher.run({ messages: [user], principal, model: modelSaying(many, says('ok')) });
    expect(outcomes.map(({ status }) => status)).toEqual(['completed', 'completed', 'refused', 'refused']);
    expect(outcomes[2]?.error?.code).toBe('quota_exceeded');
  });

  it('ends when the calls of the run are used up', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const model = modelSaying(again(), again(), again());
    const result = await dispatcher.run({ messages: [user], principal, maxCalls: 2, model });
    expect(result).toMatchObject({ stop: 'max_calls', turns: 2 });
  });

  it('sums the tokens and ends when they are used up', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const costly = {
      name: 'costly',
      provider: 'scripted',
      ask: async () => ({ message: again(), stop: 'calls' as const, usage: { inputTokens: 60, outputTokens: 5 } }),
    };
    const result = await dispatcher.run({ messages: [user], principal, maxTokens: 100, model: costly });
    expect(result).toMatchObject({ stop: 'max_tokens', turns: 2, usage: { inputTokens: 120, outputTokens: 10 } });
  });

  it('dispatches nothing from a truncated response and still answers its calls', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const cut = {
      name: 'cut',
      provider: 'scripted',
      ask: async () => ({ message: again(), stop: 'length' as const, usage: { inputTokens: 1, outputTokens: 1 } }),
    };
    const result = await dispatcher.run({ messages: [user], principal, model: cut });
    expect(result).toMatchObject({ state: 'failed', stop: 'truncated' });
    expect(result.outcomes).toMatchObject([{ status: 'cancelled', settledBy: 'dispatcher' }]);
  });

  it('settles what is under way at the deadline', async () => {
    const yard = await setup();
    const endless = defineTool({ ...base('endless'), handler: (_, ctx) => once(ctx.signal, 'abort') });
    await yard.worker([act, endless]);
    const dispatcher = await yard.dispatcher();
    const model = modelSaying(proposes(toolCall('endless'), toolCall('act', { mode: 'ok' })));
    const result = await dispatcher.run({ messages: [user], principal, model, timeoutMs: 800 });
    expect(result).toMatchObject({ state: 'expired', stop: 'deadline' });
    expect(result.outcomes.map(({ error, status }) => error?.code ?? status)).toEqual([
      'deadline_exceeded',
      'completed',
    ]);
  });

  it('ends as cancelled when its caller stops waiting', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const stop = new AbortController();
    const model = modelSaying(proposes(toolCall('act', { mode: 'slow', ms: 5_000 })));
    const running = dispatcher.run({ messages: [user], principal, model, signal: stop.signal });
    await model.asked(0);
    stop.abort();
    const result = await running;
    expect(result).toMatchObject({ state: 'cancelled', stop: 'cancelled' });
    expect(result.outcomes.map(({ status }) => status)).toEqual(['cancelled']);
  });
});

describe('calls one by one', () => {
  const order: string[] = [];
  const step = defineTool({
    ...base('step'),
    parameters: Type.Object({ name: Type.String(), fail: Type.Optional(Type.Boolean()) }),
    policy: { retry: { attempts: 1 } },
    async handler({ name, fail }) {
      order.push(`${name} begins`);
      await new Promise(setImmediate);
      order.push(`${name} ends`);
      if (fail) throw new TypeError('no');
      return name;
    },
  });
  const three = () =>
    proposes(
      toolCall('step', { name: 'a' }),
      toolCall('step', { name: 'b', fail: true }),
      toolCall('step', { name: 'c' }),
    );

  it('run in order, and go on after a failure', async () => {
    const yard = await setup();
    await yard.worker([step]);
    const dispatcher = await yard.dispatcher();
    order.length = 0;
    const result = await dispatcher.run({
      messages: [user],
      principal,
      mode: 'sequential',
      model: modelSaying(three(), says('ok')),
    });
    expect(order).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
    expect(result.outcomes.map(({ status }) => status)).toEqual(['completed', 'failed', 'completed']);
  });

  it('stop at the first that does not complete, where asked to', async () => {
    const yard = await setup();
    await yard.worker([step]);
    const dispatcher = await yard.dispatcher();
    const mode = 'sequential-until-failure';
    const result = await dispatcher.run({ messages: [user], principal, mode, model: modelSaying(three()) });
    expect(result.outcomes.map(({ status }) => status)).toEqual(['completed', 'failed', 'cancelled']);
    expect(result).toMatchObject({ state: 'failed', stop: 'failure' });
  });

  it('are forced by the policy of one tool in the turn', async () => {
    const yard = await setup();
    const careful = defineTool({
      ...base('careful'),
      policy: { sequential: true },
      handler: () => order.push('careful'),
    });
    await yard.worker([step, careful]);
    const dispatcher = await yard.dispatcher();
    order.length = 0;
    const mixed = proposes(toolCall('step', { name: 'a' }), toolCall('careful'), toolCall('step', { name: 'c' }));
    await dispatcher.run({ messages: [user], principal, model: modelSaying(mixed, says('ok')) });
    expect(order).toEqual(['a begins', 'a ends', 'careful', 'c begins', 'c ends']);
  });
});

function base(name: string) {
  return { name, version: '1.0.0', description: name, parameters: Type.Object({}) };
}
