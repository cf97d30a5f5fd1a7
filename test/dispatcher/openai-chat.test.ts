import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { LLMock } from '@copilotkit/aimock';
import { describe, expect, it, onTestFinished } from 'vitest';
import { defineTool } from '@callyard/shared/tool';
import Type from 'typebox';
import type { Message, ModelRequest } from '../../packages/dispatcher/src/model.ts';
import { openaiChat, type OpenaiChatOptions } from '../../packages/dispatcher/src/models/openai-chat.ts';

const weather = defineTool({
  name: 'crm.weather/now',
  version: '1.0.0',
  description: 'Weather',
  parameters: Type.Object({ city: Type.String(), unit: Type.Optional(Type.String()) }),
  handler: () => 1,
}).manifest;
const open = defineTool({
  ...weather,
  name: 'open',
  parameters: { type: 'object', properties: { any: {} } },
  handler: () => 1,
}).manifest;

const asking = (changes: Partial<ModelRequest> = {}): ModelRequest => ({
  messages: [{ role: 'user', content: 'weather in Oslo' }],
  tools: [weather, open],
  signal: new AbortController().signal,
  turn: 0,
  runId: 'r',
  conversationId: undefined,
  ...changes,
});

type Answer = (response: ServerResponse, attempt: number, body: Record<string, unknown>) => void;

/** An endpoint that answers as a test says, for what a well-behaved mock does not do. */
async function endpoint(answer: Answer) {
  const bodies: Record<string, unknown>[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    void json(request).then((body) => {
      bodies.push(body as Record<string, unknown>);
      answer(response, bodies.length, body as Record<string, unknown>);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close().closeAllConnections());
  const { port } = server.address() as AddressInfo;
  const model = (options: Partial<OpenaiChatOptions> = {}) =>
    openaiChat({ model: 'm', apiKey: 'sk-secret', baseURL: `http://127.0.0.1:${port}/v1`, ...options });
  return { model, bodies };
}

const chunk = (delta: object, finish: string | null = null) =>
  `data: ${JSON.stringify({ id: 'r1', model: 'm-1', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const stream = (response: ServerResponse, ...chunks: string[]) => {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.end(`${chunks.join('')}data: [DONE]\n\n`);
};
const fail = (response: ServerResponse, status: number, headers: Record<string, string> = {}) =>
  response
    .writeHead(status, { 'content-type': 'application/json', ...headers })
    .end(JSON.stringify({ error: { message: `status ${status}` } }));
const done = [chunk({ content: 'done' }), chunk({}, 'stop')];

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

describe('asking again', () => {
  it('after a stream that was cut, with nothing of it used', async () => {
    const { model, bodies } = await endpoint((response, attempt) => {
      if (attempt > 1) return stream(response, ...done);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'open', arguments: '{}' } }] }), () =>
        response.destroy(),
      );
      return undefined;
    });
    const { message } = await model().ask(asking());
    expect(message).toEqual({ role: 'assistant', content: 'done' });
    expect(bodies).toHaveLength(2);
  });

  it('after a stream that ended without saying why', async () => {
    const { model, bodies } = await endpoint((response, attempt) =>
      stream(response, ...(attempt === 1 ? [chunk({ content: 'half' })] : done)),
    );
    expect((await model().ask(asking())).message.content).toBe('done');
    expect(bodies).toHaveLength(2);
  });

  it.each([408, 409, 429, 500, 503])('after %i, as soon as Retry-After says', async (status) => {
    const { model, bodies } = await endpoint((response, attempt) =>
      attempt < 3 ? void fail(response, status, { 'retry-after-ms': '5' }) : stream(response, ...done),
    );
    expect((await model().ask(asking())).message.content).toBe('done');
    expect(bodies).toHaveLength(3);
  });

  it('not when that would take longer than it may, and says for how long', async () => {
    const { model, bodies } = await endpoint((response) => void fail(response, 429, { 'retry-after': '120' }));
    await expect(model().ask(asking())).rejects.toMatchObject({
      name: 'ModelError',
      status: 429,
      message: expect.stringContaining('120000 ms') as string,
    });
    expect(bodies).toHaveLength(1);
  });

  it.each([400, 401, 403, 404, 422])('not after %i, and shows no key', async (status) => {
    const { model, bodies } = await endpoint((response) => void fail(response, status));
    const asked = model().ask(asking());
    await expect(asked).rejects.toMatchObject({ name: 'ModelError', status });
    await expect(asked).rejects.not.toThrow(/sk-secret/);
    expect(bodies).toHaveLength(1);
  });

  it('not where the server says so, nor more often than it may', async () => {
    const told = await endpoint((response) => void fail(response, 500, { 'x-should-retry': 'false' }));
    await expect(told.model().ask(asking())).rejects.toThrow('status 500');
    expect(told.bodies).toHaveLength(1);
    const stubborn = await endpoint((response) => void fail(response, 500, { 'retry-after-ms': '1' }));
    await expect(stubborn.model({ maxAttempts: 3 }).ask(asking())).rejects.toThrow('after 3 attempts');
    expect(stubborn.bodies).toHaveLength(3);
  });

  it('not once it is aborted, in flight or in a pause', async () => {
    const inFlight = new AbortController();
    const silent = await endpoint(() => inFlight.abort(new Error('enough')));
    await expect(silent.model().ask(asking({ signal: inFlight.signal }))).rejects.toThrow('enough');
    const inPause = new AbortController();
    const busy = await endpoint((response) => {
      fail(response, 429, { 'retry-after': '30' });
      response.on('finish', () => setImmediate(() => inPause.abort(new Error('enough'))));
    });
    await expect(busy.model().ask(asking({ signal: inPause.signal }))).rejects.toThrow();
    expect(busy.bodies).toHaveLength(1);
  });
});
