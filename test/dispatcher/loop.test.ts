import { describe, expect, it } from 'vitest';
import type { Outcome } from '@callyard/shared/call';
import { driveRun, type LoopOptions } from '../../packages/dispatcher/src/loop.ts';
import type { Message, Model } from '../../packages/dispatcher/src/model.ts';
import { RunOver } from '../../packages/dispatcher/src/run-over.ts';
import { memoryRunRecord } from '../../packages/dispatcher/src/run-record.ts';
import { modelSaying, proposes, says, signal, toolCall } from '../support/setup.ts';

const outcome: Outcome = {
  v: 1,
  key: 'r.0.0',
  call: { id: 'a', name: 'weather' },
  tool: { name: 'weather', version: '1.0.0' },
  status: 'completed',
  value: 'rain',
  attempts: 1,
  lost: 0,
  settledBy: 'worker',
  enqueuedAt: 1,
  waits: [],
};

const messages: Message[] = [
  { role: 'system', content: 'be brief' },
  { role: 'user', content: 'x'.repeat(400) },
  { role: 'assistant', content: 'Yes.' },
  { role: 'user', content: 'rain?' },
];

/** A loop whose calls are all answered with rain. */
function loop(model: Model, more: Partial<LoopOptions> = {}): LoopOptions {
  const answer = async () => [outcome];
  return {
    frame: {
      runId: 'r',
      conversationId: undefined,
      principal: { owner: 'acme', userId: 'mia', roles: [], permissions: [] },
      class: 'interactive',
      deadlineAt: Date.now() + 60_000,
      takeover: false,
      signal: new AbortController().signal,
    },
    record: memoryRunRecord(messages),
    calls: { run: answer, runInOrder: answer, refuse: () => [outcome] },
    model,
    offer: () => new Map(),
    limits: {
      maxTurns: 4,
      maxCallsPerTurn: 4,
      maxCalls: 4,
      maxTokens: 1_000,
      maxArgumentBytes: 1_000,
      maxHistoryTokens: 1_000,
    },
    mode: 'parallel',
    toolChoice: undefined,
    parallel: undefined,
    ...more,
  };
}

const twoTurns = () => modelSaying(proposes(toolCall('weather')), says('Rain.'));

describe('the history a model is shown', () => {
  it('is the end of a conversation that is too long; the record keeps all of it', async () => {
    const model = twoTurns();
    const options = loop(model);
    await driveRun({ ...options, limits: { ...options.limits, maxHistoryTokens: 90 } });
    expect(model.requests.map((request) => request.messages.map(({ role }) => role))).toEqual([
      ['system', 'user'],
      ['system', 'user', 'assistant', 'tool'],
    ]);
    expect((await options.record.load()).messages).toEqual(messages);
  });
});

describe('the tokens of the day', () => {
  it('are asked for before each request to the model, and a run ends where none is left', async () => {
    const model = twoTurns();
    const left = [7, 0];
    const end = await driveRun(loop(model, { budget: { left: async () => left.shift() ?? 0 } }));
    expect(end).toMatchObject({ state: 'failed', stop: 'token_budget', error: expect.stringContaining('00:00 UTC') });
    expect(model.requests).toHaveLength(1);
  });

  it('end no run that has its answer', async () => {
    const end = await driveRun(loop(modelSaying(says('Rain.')), { budget: { left: async () => 1 } }));
    expect(end).toMatchObject({ state: 'completed' });
  });
});

describe('a run that is over', () => {
  it.each([
    ['the tokens of the day', (wait: () => Promise<never>) => ({ budget: { left: wait } })],
    ['what is on offer', (wait: () => Promise<never>) => ({ offer: wait })],
  ])('does not wait for %s', async (_what, waiting) => {
    const stop = new AbortController();
    const asked = signal();
    const forever = () => (asked.resolve(), signal<never>().promise);
    const options = loop(modelSaying(), waiting(forever));
    const end = driveRun({ ...options, frame: { ...options.frame, signal: stop.signal } });
    await asked.promise;
    stop.abort(new RunOver('cancelled'));
    expect(await end).toMatchObject({ state: 'cancelled' });
  });
});
