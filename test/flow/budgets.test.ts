import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Message, Model } from '@callyard/dispatcher';
import { costly, costlyCalls } from '../support/costly-model.ts';
import { principal, setup, signal } from '../support/setup.ts';
import { folderWith } from '../support/temporary-folder.ts';
import { act } from '../support/tools.ts';

const messages: Message[] = [{ role: 'user', content: 'go' }];
const free = { ...principal, roles: ['free'] };

const calling = costlyCalls();

async function yardWith(...budgets: object[]) {
  const yard = await setup();
  await yard.worker([act]);
  const limitsFile = join(await folderWith({ 'limits.json': JSON.stringify({ budgets }) }), 'limits.json');
  return { yard, dispatcher: await yard.dispatcher({ limitsFile }) };
}

describe('the budget of a principal', () => {
  it.each([
    ['turns', { maxTurns: 2 }, 'max_turns', 2],
    ['calls', { maxCalls: 6 }, 'max_calls', 3],
    ['tokens', { maxTokens: 150 }, 'max_tokens', 4],
  ])('bounds the %s of its runs, and those of nobody else', async (_what, bound, stop, turns) => {
    const { dispatcher } = await yardWith({ for: { role: 'free' }, ...bound });
    const run = { messages, model: calling, maxTurns: 5, maxCalls: 20, maxTokens: 1_000 };
    expect(await dispatcher.run({ ...run, principal: free })).toMatchObject({ state: 'failed', stop, turns });
    expect(await dispatcher.run({ ...run, principal })).toMatchObject({ stop: 'max_turns', turns: 5 });
  });

  it('widens nothing', async () => {
    const { dispatcher } = await yardWith({ maxTurns: 10 });
    const run = { messages, model: calling, principal, maxTurns: 1 };
    expect(await dispatcher.run(run)).toMatchObject({ stop: 'max_turns', turns: 1 });
  });

  it('bounds the time of a run', async () => {
    const { dispatcher } = await yardWith({ for: { user: 'mia' }, maxRunMs: 50 });
    const model: Model = { ...costly(), ask: (request) => silent(request.signal) };
    expect(await dispatcher.run({ messages, model, principal })).toMatchObject({ state: 'expired', stop: 'deadline' });
  });

  it('of tokens per day is one for all runs of a user, and is passed by one response at most', async () => {
    const { yard, dispatcher } = await yardWith({ tokensPerDay: 70 });
    const ask = (owner: string) => dispatcher.run({ messages, model: costly(), principal: { ...principal, owner } });
    expect(await ask('acme')).toMatchObject({ state: 'completed' });
    expect(await ask('acme')).toMatchObject({ state: 'completed', usage: { inputTokens: 30 } });
    expect(await ask('acme')).toMatchObject({ state: 'failed', stop: 'token_budget', turns: 0 });
    expect(await ask('other')).toMatchObject({ state: 'completed' });
    const elsewhere = await yard.dispatcher({ budgets: [{ tokensPerDay: 70 }] });
    const run = await elsewhere.run({ messages, model: costly(), principal });
    expect(run).toMatchObject({ stop: 'token_budget', error: expect.stringContaining('00:00 UTC') });
  });

  it('of tokens per day ends a run between its turns', async () => {
    const { dispatcher } = await yardWith({ tokensPerDay: 80 });
    const run = await dispatcher.run({ messages, model: calling, principal });
    expect(run).toMatchObject({ stop: 'token_budget', turns: 2 });
    expect(run.outcomes.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed', 'completed']);
  });

  it('bounds durable runs, which spend of the same tokens per day', async () => {
    const { yard } = await yardWith();
    const models = [costly(), { ...calling, name: 'calling' }];
    const dispatcher = await yard.dispatcher({ models, budgets: [{ maxTurns: 2, tokensPerDay: 100 }] });
    const run = async (model: string) => {
      const { runId } = await dispatcher.submit({ messages, principal, model });
      return dispatcher.wait(runId, { owner: principal.owner });
    };
    expect(await run('calling')).toMatchObject({ state: 'failed', stop: 'max_turns', turns: 2 });
    expect(await dispatcher.run({ messages, principal, model: costly() })).toMatchObject({ state: 'completed' });
    expect(await run('costly')).toMatchObject({ state: 'failed', stop: 'token_budget', turns: 0 });
  });

  it('that cannot be used keeps a dispatcher from starting', async () => {
    const yard = await setup();
    const budgets = [{ for: { role: 'free' }, tokenPerDay: 1 }] as never;
    await expect(yard.dispatcher({ budgets })).rejects.toThrow('unknown tokenPerDay; did you mean tokensPerDay?');
  });
});

/** Answers nothing until it is aborted. */
function silent(abort: AbortSignal): Promise<never> {
  const { promise, reject } = signal<never>();
  const stop = () => reject(abort.reason as Error);
  if (abort.aborted) stop();
  abort.addEventListener('abort', stop);
  return promise;
}
