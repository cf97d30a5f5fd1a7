import type { ServerResponse } from 'node:http';
import { LLMock } from '@copilotkit/aimock';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defineTool } from '@callyard/shared/tool';
import type { AssistantMessage, Message } from '../../packages/dispatcher/src/model.ts';
import { openaiChat, type OpenaiChatOptions } from '../../packages/dispatcher/src/models/openai-chat.ts';
import {
  apiKey,
  chunk,
  done,
  endpoint,
  sendError,
  sendStream,
  sendWhole,
  type ChatBody,
} from '../support/chat-endpoint.ts';
import { asking, modelSuite, suiteTools } from '../support/model-suite.ts';

/** The message with the names of its calls as the request has them. */
function onWire({ tool_calls: calls, function_call: legacy, ...rest }: AssistantMessage, { tools = [] }: ChatBody) {
  const wire = (name: string) => tools[suiteTools.findIndex((tool) => tool.name === name)]?.function.name ?? name;
  return {
    ...rest,
    ...(calls
      ? {
          tool_calls: calls.map((call) => ({
            ...call,
            function: { ...call.function, name: wire(call.function.name) },
          })),
        }
      : {}),
    ...(legacy ? { function_call: { ...legacy, name: wire(legacy.name) } } : {}),
  };
}

/** Sends a message in pieces as OpenAI does: first what a call is, then its arguments, a few letters at a time. */
function sendInPieces(
  response: ServerResponse,
  { tool_calls: calls = [], function_call: legacy, ...rest }: ReturnType<typeof onWire>,
): void {
  const pieces = (text: string) => text.match(/.{1,3}/gsu) ?? [];
  const texts = calls.map((call) => pieces(call.function.arguments));
  sendStream(
    response,
    chunk(rest),
    ...calls.map((call, index) =>
      chunk({ tool_calls: [{ ...call, index, function: { ...call.function, arguments: '' } }] }),
    ),
    ...texts.flatMap((some, index) =>
      some.map((text) => chunk({ tool_calls: [{ index, function: { arguments: text } }] })),
    ),
    ...(legacy ? [chunk({ function_call: { ...legacy, arguments: '' } })] : []),
    ...(legacy ? pieces(legacy.arguments).map((text) => chunk({ function_call: { arguments: text } })) : []),
    chunk({}, 'stop'),
  );
}

describe.each([
  ['streamed', true, sendInPieces],
  ['at once', false, sendWhole],
] as const)('chat completions, %s', (how, stream, send) => {
  modelSuite(`openai-chat, ${how}`, {
    async saying(say) {
      const { model } = await endpoint((response, _attempt, body) =>
        send(response, onWire(say(String(body.messages.at(-1)?.content)), body)),
      );
      return model({ stream });
    },
    async silent() {
      const asked = Promise.withResolvers<void>();
      const { model } = await endpoint(() => asked.resolve());
      return { model: model({ stream }), asked: asked.promise };
    },
    async failing() {
      const { model } = await endpoint((response) => sendError(response, 400));
      return model({ stream });
    },
  });

  async function mocked(options: Partial<OpenaiChatOptions> = {}) {
    const mock = new LLMock({ port: 0 });
    await mock.start();
    onTestFinished(() => mock.stop());
    return { mock, model: openaiChat({ model: 'gpt-x', apiKey, baseURL: `${mock.url}/v1`, stream, ...options }) };
  }

  it(`${how}, brings parallel calls with their arguments as text, broken ones too`, async () => {
    const { mock, model } = await mocked();
    const texts = ['{"city":"Oslo"}', '{"city":'];
    mock.on({ userMessage: /Oslo/ }, { toolCalls: texts.map((text) => ({ name: 'get_weather', arguments: text })) });
    const { message, stop } = await model.ask(asking());
    expect(stop).toBe('calls');
    expect(message.tool_calls?.map((call) => call.function.arguments)).toEqual(texts);
    expect(new Set(message.tool_calls?.map(({ id }) => id)).size).toBe(2);
  });

  it(`${how}, brings what it cost and who answered`, async () => {
    const { mock, model } = await mocked();
    const usage = { prompt_tokens: 11, completion_tokens: 7 };
    mock.on({ userMessage: /Oslo/ }, { content: 'Rain.', usage, id: 'chatcmpl-1', model: 'gpt-x-2026' });
    expect(await model.ask(asking())).toMatchObject({
      usage: { inputTokens: 11, outputTokens: 7 },
      id: 'chatcmpl-1',
      model: 'gpt-x-2026',
    });
  });

  it.each([
    ['length', 'length'],
    ['model_length', 'length'],
    ['content_filter', 'filtered'],
  ])(`${how}, is incomplete when it ends with %s`, async (finishReason, stop) => {
    const { mock, model } = await mocked();
    mock.on({ userMessage: /Oslo/ }, { toolCalls: [{ name: 'get_weather', arguments: '{"ci' }], finishReason });
    expect((await model.ask(asking())).stop).toBe(stop);
  });

  it(`${how}, is asked again after an error of the server`, async () => {
    const { mock, model } = await mocked();
    mock.nextRequestError(500);
    mock.on({ userMessage: /Oslo/ }, { content: 'Rain.' });
    expect((await model.ask(asking())).message.content).toBe('Rain.');
    expect(mock.getRequests()).toHaveLength(2);
  });

  it.each(['error', 'insufficient_system_resource'])(
    `${how}, is not used when the model broke off with %s`,
    async (finish) => {
      const { mock, model } = await mocked({ maxAttempts: 1 });
      mock.on({ userMessage: /Oslo/ }, { toolCalls: [{ name: 'get_weather', arguments: '{}' }], finishReason: finish });
      await expect(model.ask(asking())).rejects.toThrow(
        `gpt-x: the model broke off with "${finish}" (after 1 attempts)`,
      );
    },
  );

  it(`${how}, gives an id to a call that has none, and takes calls that come with "stop"`, async () => {
    const nameless = {
      role: 'assistant',
      tool_calls: [{ function: { name: 'get_weather', arguments: '{}' } }],
    } as never;
    const { model } = await endpoint((response) => send(response, nameless));
    const { message, stop } = await model({ stream }).ask(asking());
    expect(message.tool_calls?.[0]?.id).toMatch(/^call_[0-9a-f]{24}$/);
    expect(stop).toBe('calls');
  });
});

describe('what goes over the wire', () => {
  const open = defineTool({
    name: 'open',
    version: '1.0.0',
    description: 'takes anything',
    parameters: { type: 'object', properties: { any: {} } },
    handler: () => 1,
  }).manifest;
  const [, dotted] = suiteTools as [(typeof suiteTools)[0], (typeof suiteTools)[0]];

  const sent = async (...request: Parameters<typeof asking>) => {
    const { model, bodies } = await endpoint((response) => sendStream(response, ...done));
    await model({ body: { temperature: 0.5, model: 'other' } }).ask(asking(...request));
    return bodies[0] as ChatBody;
  };

  it('says strict on every function: true with the strict copy, false with the original', async () => {
    const [strict, loose] = (await sent({ tools: [dotted, open] })).tools ?? [];
    expect(strict?.function).toMatchObject({
      strict: true,
      parameters: { required: ['city', 'unit'], additionalProperties: false },
    });
    expect(loose?.function).toMatchObject({ name: 'open', strict: false, parameters: open.parameters });
  });

  it('keeps to names that providers take, in the history and the choice too', async () => {
    const messages: Message[] = [
      { role: 'user', content: 'hi' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: dotted.name, arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', name: dotted.name, content: 'rain' },
      { role: 'assistant', content: null, function_call: { name: dotted.name, arguments: '{}' } },
      { role: 'function', name: dotted.name, content: 'sun' },
    ];
    const body = await sent({ messages, toolChoice: { name: dotted.name }, parallel: false });
    const wire = body.tools?.[1]?.function.name;
    expect(wire).toMatch(/^crm_weather_now-[0-9a-f]{8}$/);
    expect(body.messages).toEqual([
      messages[0],
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c1', type: 'function', function: { name: wire, arguments: '{}' } }],
      },
      { role: 'tool', tool_call_id: 'c1', content: 'rain' },
      { role: 'assistant', content: null, function_call: { name: wire, arguments: '{}' } },
      { role: 'function', name: wire, content: 'sun' },
    ]);
    expect(body).toMatchObject({
      tool_choice: { type: 'function', function: { name: wire } },
      parallel_tool_calls: false,
    });
  });

  it('mentions no tools where there are none', async () => {
    const body = await sent({ tools: [], parallel: true, toolChoice: 'auto' });
    expect(Object.keys(body).toSorted()).toEqual(['messages', 'model', 'stream', 'stream_options', 'temperature']);
  });

  it('is answered with how much of it the provider had cached, where that is said', async () => {
    const usage = { prompt_tokens: 11, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 4 } };
    const last = `data: ${JSON.stringify({ id: 'r1', model: 'm-1', choices: [], usage })}\n\n`;
    const { model } = await endpoint((response) => sendStream(response, ...done, last));
    expect((await model().ask(asking())).usage).toEqual({ inputTokens: 11, cachedInputTokens: 4, outputTokens: 7 });
  });

  it('has the further fields it was given, and the model it is for', async () => {
    expect(await sent()).toMatchObject({ temperature: 0.5, model: 'gpt-x', stream_options: { include_usage: true } });
  });
});
