import { LLMock } from '@copilotkit/aimock';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Message } from '../../packages/dispatcher/src/model.ts';
import { openaiChat } from '../../packages/dispatcher/src/models/openai-chat.ts';
import { asking, chunk, done, endpoint, stream, weather } from '../support/chat-endpoint.ts';

describe.each([
  ['streamed', true],
  ['at once', false],
] as const)('chat completions, %s', (_how, streamed) => {
  async function mocked() {
    const mock = new LLMock({ port: 0 });
    await mock.start();
    onTestFinished(() => mock.stop());
    return { mock, model: openaiChat({ model: 'gpt-x', apiKey: 'k', baseURL: `${mock.url}/v1`, stream: streamed }) };
  }

  it('bring parallel calls with their arguments as text, broken ones too', async () => {
    const { mock, model } = await mocked();
    mock.on(
      { userMessage: /Oslo/ },
      {
        toolCalls: [
          { name: 'open', arguments: '{"city":"Oslo"}' },
          { name: 'open', arguments: '{"city":' },
        ],
      },
    );
    const { message, stop } = await model.ask(asking());
    expect(stop).toBe('calls');
    expect(message.tool_calls?.map((call) => call.function.arguments)).toEqual(['{"city":"Oslo"}', '{"city":']);
    expect(message.tool_calls?.every(({ id }) => id !== '')).toBe(true);
  });

  it('bring text and what it cost', async () => {
    const { mock, model } = await mocked();
    mock.on({ userMessage: /Oslo/ }, { content: 'Rain.' });
    const { message, stop, usage } = await model.ask(asking());
    expect([message.content, stop]).toEqual(['Rain.', 'answer']);
    expect(usage.outputTokens).toBeGreaterThanOrEqual(0);
  });
});

describe('what goes over the wire', () => {
  it('says strict on every function, and keeps to names that providers take, in the history too', async () => {
    const { model, bodies } = await endpoint((response) => stream(response, ...done));
    const history: Message[] = [
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: weather.name, arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', name: weather.name, content: 'rain' },
    ];
    await model().ask(asking({ messages: history, toolChoice: { name: weather.name }, parallel: false }));
    const [body] = bodies as [
      {
        tools: { function: { name: string; strict: boolean } }[];
        messages: Record<string, never>[];
        tool_choice: unknown;
        parallel_tool_calls: unknown;
      },
    ];
    const [strict, loose] = body.tools;
    expect(strict?.function).toMatchObject({
      strict: true,
      parameters: { required: ['city', 'unit'], additionalProperties: false },
    });
    expect(loose?.function).toMatchObject({ name: 'open', strict: false });
    const wire = strict?.function.name ?? '';
    expect(wire).toMatch(/^crm_weather_now-[0-9a-f]{8}$/);
    expect(body.messages[1]).toMatchObject({ tool_calls: [{ function: { name: wire } }] });
    expect(body.messages[2]).toEqual({ role: 'tool', tool_call_id: 'c1', content: 'rain' });
    expect(body.tool_choice).toEqual({ type: 'function', function: { name: wire } });
    expect(body.parallel_tool_calls).toBe(false);
  });

  it('turns names back in what comes', async () => {
    const { model, bodies } = await endpoint((response, _n, body) => {
      const wire = (body.tools as { function: { name: string } }[])[0]?.function.name;
      stream(
        response,
        chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: wire, arguments: '{}' } }] }),
        chunk({}, 'tool_calls'),
      );
    });
    const { message } = await model().ask(asking());
    expect(message.tool_calls?.[0]?.function.name).toBe(weather.name);
    expect(bodies).toHaveLength(1);
  });

  it('mentions no tools where there are none', async () => {
    const { model, bodies } = await endpoint((response) => stream(response, ...done));
    await model().ask(asking({ tools: [], parallel: true }));
    expect(bodies[0]).not.toHaveProperty('tools');
    expect(bodies[0]).not.toHaveProperty('parallel_tool_calls');
  });
});

describe('streams of compatible servers', () => {
  const callsOf = async (...chunks: string[]) => {
    const { model } = await endpoint((response) => stream(response, ...chunks));
    return model().ask(asking());
  };

  it('are joined by index, with arguments in pieces', async () => {
    const { message } = await callsOf(
      chunk({
        tool_calls: [
          { index: 0, id: 'a', function: { name: 'open', arguments: '' } },
          { index: 1, id: 'b', function: { name: 'open', arguments: '{' } },
        ],
      }),
      chunk({
        tool_calls: [
          { index: 1, function: { arguments: '"x":1}' } },
          { index: 0, function: { name: '', arguments: '{}' } },
        ],
      }),
      chunk({}, 'tool_calls'),
    );
    expect(message.tool_calls?.map(({ id, function: { name, arguments: args } }) => [id, name, args])).toEqual([
      ['a', 'open', '{}'],
      ['b', 'open', '{"x":1}'],
    ]);
  });

  it('may send no index, or no id', async () => {
    const { message } = await callsOf(
      chunk({ tool_calls: [{ id: 'a', function: { name: 'open', arguments: '{}' } }] }),
      chunk({ tool_calls: [{ id: 'b', function: { name: 'open', arguments: '{"x":' } }] }),
      chunk({ tool_calls: [{ id: 'b', function: { arguments: '2}' } }] }),
      chunk({}, 'stop'),
    );
    expect(message.tool_calls?.map((call) => call.function.arguments)).toEqual(['{}', '{"x":2}']);
    const nameless = await callsOf(
      chunk({ tool_calls: [{ index: 0, function: { name: 'open', arguments: '{}' } }] }),
      chunk({}, 'stop'),
    );
    expect(nameless.message.tool_calls?.[0]?.id).toMatch(/^call_[0-9a-f]{24}$/);
    expect(nameless.stop).toBe('calls');
  });

  it('keep texts beside the content, and the old form of a call', async () => {
    const { message } = await callsOf(
      chunk({ reasoning_content: 'Think' }),
      chunk({ reasoning_content: 'ing.' }),
      ...done,
    );
    expect(message).toMatchObject({ content: 'done', reasoning_content: 'Thinking.' });
    const legacy = await callsOf(
      chunk({ function_call: { name: 'open', arguments: '{"a"' } }),
      chunk({ function_call: { arguments: ':1}' } }),
      chunk({}, 'function_call'),
    );
    expect(legacy).toMatchObject({ stop: 'calls', message: { function_call: { name: 'open', arguments: '{"a":1}' } } });
  });

  it.each([
    ['length', 'length'],
    ['content_filter', 'filtered'],
  ])('that end with %s are incomplete', async (finish, stop) => {
    const response = await callsOf(
      chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'open', arguments: '{"x' } }] }),
      chunk({}, finish),
    );
    expect(response.stop).toBe(stop);
  });
});
