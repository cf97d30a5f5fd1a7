import { describe, expect, it } from 'vitest';
import { defineTool } from '@callyard/shared/tool';
import Type from 'typebox';
import type {
  AssistantMessage,
  Model,
  ModelDelta,
  ModelRequest,
  ToolCall,
} from '../../packages/dispatcher/src/model.ts';

/** How the suite makes the models it asks. */
export interface ModelStand {
  /** one that answers the last message with this, in its provider's own form */
  saying(say: (lastContent: string) => AssistantMessage): Promise<Model>;
  /** one that never answers, and tells when it was asked */
  silent(): Promise<{ model: Model; asked: Promise<unknown> }>;
  /** one that cannot answer */
  failing(): Promise<Model>;
}

const tool = (name: string) =>
  defineTool({
    name,
    version: '1.0.0',
    description: name,
    parameters: Type.Object({ city: Type.String(), unit: Type.Optional(Type.String()) }),
    handler: () => 1,
  }).manifest;

/** Tools with names that providers take, and with ones they do not. */
export const suiteTools = ['get_weather', 'crm.weather/now', 'crm.weather.now'].map(tool);

export const asking = (changes: Partial<ModelRequest> = {}): ModelRequest => ({
  messages: [{ role: 'user', content: 'weather in Oslo' }],
  tools: suiteTools,
  signal: new AbortController().signal,
  turn: 0,
  runId: 'r',
  conversationId: undefined,
  ...changes,
});

const call = (id: string, name: string, text: string): ToolCall => ({
  id,
  type: 'function',
  function: { name, arguments: text },
});

const calls = [
  call('a', 'get_weather', '{ "city": "Oslo" }'),
  call('b', 'get_weather', '{"city":'),
  call('a', 'crm.weather/now', '{"city":"Bodø","city":"Ås"}'),
  call('c', 'crm.weather.now', ''),
  call('d', 'no_such_tool', '{}'),
];

/** What every model adapter promises, whoever is behind it. */
export function modelSuite(name: string, stand: ModelStand): void {
  const say = (message: AssistantMessage) => stand.saying(() => message);

  describe(`model: ${name}`, () => {
    it(`${name}: answers with text, and counts tokens`, async () => {
      const model = await say({ role: 'assistant', content: 'Rain.' });
      const { message, stop, usage } = await model.ask(asking());
      expect(message).toMatchObject({ role: 'assistant', content: 'Rain.' });
      expect(stop).toBe('answer');
      expect(Object.keys(usage).toSorted()).toEqual(['inputTokens', 'outputTokens']);
      expect(Object.values(usage).every(Number.isInteger)).toBe(true);
    });

    it(`${name}: tells the text of its answer as it comes, and nothing of one without text`, async () => {
      const content = 'Rain  until\nnoon, says the æther. ';
      const deltas: ModelDelta[] = [];
      const onDelta = (delta: ModelDelta) => void deltas.push(delta);
      await (await say({ role: 'assistant', content })).ask(asking({ onDelta }));
      expect(deltas.map((delta) => ('text' in delta ? delta.text : 'restart')).join('')).toBe(content);
      deltas.length = 0;
      await (await say({ role: 'assistant', content: null, tool_calls: calls })).ask(asking({ onDelta }));
      expect(deltas).toEqual([]);
    });

    it(`${name}: proposes calls in order, with their ids, the tools' own names and the text of their arguments`, async () => {
      const model = await say({ role: 'assistant', content: null, tool_calls: calls });
      const { message, stop } = await model.ask(asking());
      expect(message.tool_calls).toEqual(calls);
      expect(stop).toBe('calls');
    });

    it(`${name}: understands the call of a legacy message`, async () => {
      const legacy = { name: 'crm.weather/now', arguments: '{"city":"Oslo"}' };
      const model = await say({ role: 'assistant', content: null, function_call: legacy });
      const { message, stop } = await model.ask(asking());
      expect(message.function_call).toEqual(legacy);
      expect(stop).toBe('calls');
    });

    it(`${name}: takes a conversation with calls and their answers, and changes nothing in it`, async () => {
      const model = await say({ role: 'assistant', content: 'Rain.' });
      const request = asking({
        messages: [
          { role: 'system', content: 'be brief' },
          { role: 'user', content: 'weather' },
          { role: 'assistant', content: null, tool_calls: calls },
          ...calls.map(({ id, function: fn }) => ({
            role: 'tool' as const,
            tool_call_id: id,
            name: fn.name,
            content: '1',
          })),
          { role: 'assistant', content: null, function_call: { name: 'get_weather', arguments: '{}' } },
          { role: 'function', name: 'get_weather', content: '2' },
        ],
      });
      const before = structuredClone({ messages: request.messages, tools: request.tools });
      expect((await model.ask(request)).stop).toBe('answer');
      expect({ messages: request.messages, tools: request.tools }).toEqual(before);
    });

    it(`${name}: answers each of many that ask at once`, async () => {
      const model = await stand.saying((content) => ({ role: 'assistant', content: `you said ${content}` }));
      const said = Array.from({ length: 20 }, (_, i) => `line ${i}`);
      const answers = await Promise.all(
        said.map((content) => model.ask(asking({ messages: [{ role: 'user', content }] }))),
      );
      expect(answers.map(({ message }) => message.content)).toEqual(said.map((content) => `you said ${content}`));
    });

    it(`${name}: gives up at once when it is aborted, before it asks or while it waits`, async () => {
      const { model, asked } = await stand.silent();
      const reason = new Error('enough');
      await expect(model.ask(asking({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
      const stop = new AbortController();
      const answer = model.ask(asking({ signal: stop.signal })).catch((error: unknown) => error);
      await asked;
      stop.abort(reason);
      expect(await answer).toBe(reason);
    });

    it(`${name}: says with a ModelError that it cannot answer`, async () => {
      const model = await stand.failing();
      await expect(model.ask(asking())).rejects.toMatchObject({ name: 'ModelError' });
    });
  });
}
