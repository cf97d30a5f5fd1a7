import { describe, expect, it } from 'vitest';
import { principal, says, setup } from '../support/setup.ts';
import { scriptedModel } from '@callyard/dispatcher';

const { owner } = principal;
const ask = (content: string) => [{ role: 'user', content }] as const;

describe('a durable run that no dispatcher drives', () => {
  it('is ended by whoever waits for it when its deadline is past, and lets its conversation go on', async () => {
    const yard = await setup();
    const idle = await yard.dispatcher({ maxRuns: 0 });
    const run = { principal, model: 'm', conversationId: 'c' };
    const { runId } = await idle.submit({ ...run, messages: ask('first'), timeoutMs: 100 });
    const { runId: next } = await idle.submit({ ...run, messages: ask('second'), timeoutMs: 60_000 });
    expect(await idle.wait(runId, { owner })).toMatchObject({ state: 'expired', stop: 'deadline', turns: 0 });

    const model = scriptedModel(() => says('Here I am.'), { name: 'm' });
    await yard.dispatcher({ model });
    expect(await idle.wait(next, { owner })).toMatchObject({ state: 'completed', text: 'Here I am.' });
  });
});
