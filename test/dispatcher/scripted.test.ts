import { describe, expect, it } from 'vitest';
import { scriptedModel } from '../../packages/dispatcher/src/models/scripted.ts';
import type { ModelDelta } from '../../packages/dispatcher/src/model.ts';
import { asking, modelSuite } from '../support/model-suite.ts';

modelSuite('scripted', {
  saying: async (say) => scriptedModel(({ messages }) => say(String(messages.at(-1)?.content))),
  async silent() {
    const asked = Promise.withResolvers<void>();
    const model = scriptedModel(() => {
      asked.resolve();
      return Promise.withResolvers<never>().promise;
    });
    return { model, asked: asked.promise };
  },
  failing: async () => scriptedModel([]),
});

const line = (content: string) => ({ role: 'assistant' as const, content });

describe('a script of lines', () => {
  it('is said in order, and keeps what it was asked', async () => {
    const model = scriptedModel([line('one'), line('two')], { name: 'parrot' });
    const responses = [await model.ask(asking({ turn: 0 })), await model.ask(asking({ turn: 1 }))];
    expect(responses.map(({ message }) => message.content)).toEqual(['one', 'two']);
    expect(responses[0]).toMatchObject({ model: 'parrot', usage: { inputTokens: 0, outputTokens: 0 } });
    expect(model.requests.map(({ turn }) => turn)).toEqual([0, 1]);
  });

  it('is told word by word', async () => {
    const model = scriptedModel([line(' It rains  in\nOslo. ')]);
    const deltas: ModelDelta[] = [];
    await model.ask(asking({ onDelta: (delta) => void deltas.push(delta) }));
    expect(deltas).toEqual([{ text: ' It ' }, { text: 'rains  ' }, { text: 'in\n' }, { text: 'Oslo. ' }]);
  });

  it('says which line is missing when it is over', async () => {
    const model = scriptedModel([line('one')]);
    await model.ask(asking());
    await expect(model.ask(asking())).rejects.toThrow('the script is over: asked for line 2 of 1');
    expect(model.requests).toHaveLength(2);
  });

  it('tells everybody who waits, early or late, that it was asked', async () => {
    const model = scriptedModel([line('one'), line('two')]);
    const early = [model.asked(1), model.asked(1)];
    await model.ask(asking({ runId: 'first' }));
    await model.ask(asking({ runId: 'second' }));
    const told = await Promise.all([...early, model.asked(0)]);
    expect(told.map(({ runId }) => runId)).toEqual(['second', 'second', 'first']);
  });

  it('is not moved on by an ask that was aborted before', async () => {
    const model = scriptedModel([line('one')]);
    await expect(model.ask(asking({ signal: AbortSignal.abort() }))).rejects.toThrow('abort');
    expect((await model.ask(asking())).message.content).toBe('one');
  });
});
