import { describe, expect, it } from 'vitest';
import { ModelError, type DispatcherOptions, type Model } from '@callyard/dispatcher';
import { costly, costlyCalls } from '../support/costly-model.ts';
import { principal, says, setup } from '../support/setup.ts';
import { act } from '../support/tools.ts';

const { owner } = principal;
const messages = [{ role: 'user', content: 'go' }] as const;
const free = { ...principal, roles: ['free'] };

async function yardWith(budgets: DispatcherOptions['budgets'] = [], model = costlyCalls()) {
  const yard = await setup();
  await yard.worker([act]);
  return { yard, model, dispatcher: await yard.dispatcher({ budgets, model }) };
}

describe('a durable run', () => {
  it.each([
    ['turns', { maxTurns: 2 }, 'max_turns', 2],
    ['calls', { maxCalls: 5 }, 'max_calls', 3],
    ['tokens', { maxTokens: 100 }, 'max_tokens', 3],
  ])('ends when it has taken its %s', async (_what, bound, stop, turns) => {
    const { dispatcher } = await yardWith();
    const { runId } = await dispatcher.submit({ messages, principal, maxTurns: 9, ...bound });
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'failed', stop, turns });
    const answered = run.outcomes.map(({ error }) => error?.code ?? 'completed');
    expect(answered.filter((code) => code !== 'completed')).toHaveLength(stop === 'max_calls' ? 1 : 0);
  });

  it('is bounded by the budget of its principal, whatever it asks for', async () => {
    const { dispatcher } = await yardWith([{ for: { role: 'free' }, maxTurns: 1, maxRunMs: 60_000 }]);
    const run = { messages, maxTurns: 3, timeoutMs: 90_000 };
    const [bounded, other] = [
      await dispatcher.submit({ ...run, principal: free }),
      await dispatcher.submit({ ...run, principal }),
    ];
    const first = await dispatcher.wait(bounded.runId, { owner });
    expect(first).toMatchObject({ stop: 'max_turns', turns: 1 });
    // When it was created is read from the clock of Redis itself, and the deadline is not.
    expect(first.deadlineAt - first.createdAt).toBeLessThan(61_000);
    expect(await dispatcher.wait(other.runId, { owner })).toMatchObject({ stop: 'max_turns', turns: 3 });
  });

  it('spends what its user has left of the day, together with runs that are not durable', async () => {
    const { dispatcher } = await yardWith([{ tokensPerDay: 100 }], costly(says('Done.')));
    const submit = async () => {
      const { runId } = await dispatcher.submit({ messages, principal });
      return dispatcher.wait(runId, { owner });
    };
    expect(await submit()).toMatchObject({ state: 'completed', usage: { inputTokens: 30, outputTokens: 10 } });
    expect(await dispatcher.run({ messages, principal })).toMatchObject({ state: 'completed' });
    expect(await submit()).toMatchObject({ state: 'completed' }); // and passes it by 20
    expect(await submit()).toMatchObject({ state: 'failed', stop: 'token_budget', turns: 0 });
    expect(await dispatcher.run({ messages, principal })).toMatchObject({ stop: 'token_budget' });
  });

  it('ends between its turns where the day is spent, with all its calls answered', async () => {
    const { dispatcher } = await yardWith([{ tokensPerDay: 80 }]);
    const { runId } = await dispatcher.submit({ messages, principal });
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ stop: 'token_budget', turns: 2 });
    expect(run.outcomes.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 'completed'));
  });

  it('whose model fails is failed, and says why', async () => {
    const model: Model = { ...costly(), ask: () => Promise.reject(new ModelError('out of order')) };
    const { dispatcher } = await yardWith([], model);
    const { runId } = await dispatcher.submit({ messages, principal });
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'failed', stop: 'model_error', error: 'out of order', turns: 0 });
  });

  it('comes back after a fault of the dispatcher', async () => {
    let faults = 0;
    const sound = costly(says('Done.'));
    const model: Model = {
      ...sound,
      ask: (request) => (faults++ === 0 ? Promise.reject(new Error('a bug')) : sound.ask(request)),
    };
    const { dispatcher, yard } = await yardWith([], model);
    const { runId } = await dispatcher.submit({ messages, principal });
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 2 });
    expect(yard.logged.filter(({ event }) => event === 'run.fault')).toHaveLength(1);
  });
});
