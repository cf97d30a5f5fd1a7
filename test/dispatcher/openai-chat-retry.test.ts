import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { LLMock } from '@copilotkit/aimock';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { ModelDelta } from '../../packages/dispatcher/src/model.ts';
import { openaiChat, type OpenaiChatOptions } from '../../packages/dispatcher/src/models/openai-chat.ts';
import { apiKey, chunk, done, endpoint, sendError, sendStream, sendWhole } from '../support/chat-endpoint.ts';
import { asking } from '../support/model-suite.ts';

describe('asking again', () => {
  const call = chunk({ tool_calls: [{ index: 0, id: 'a', function: { name: 'get_weather', arguments: '{}' } }] });
  const begin = (response: ServerResponse, text: string) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(text);
  };

  /** How often a model is asked whose first stream breaks so. */
  const asksAfter = async (broken: (response: ServerResponse) => void, options: Partial<OpenaiChatOptions> = {}) => {
    const printed = vi.spyOn(console, 'error');
    onTestFinished(() => printed.mockRestore());
    const { model, bodies } = await endpoint((response, attempt) =>
      attempt === 1 ? broken(response) : sendStream(response, ...done),
    );
    const { message } = await model(options).ask(asking());
    expect(message).toEqual({ role: 'assistant', content: 'done' });
    expect(printed).not.toHaveBeenCalled();
    return bodies.length;
  };

  it.each<[string, (response: ServerResponse) => void]>([
    ['whose connection broke', (response) => (begin(response, call), setImmediate(() => response.destroy()))],
    [
      'that stopped in the middle of a line',
      (response) => (begin(response, `${call}data: {"id":"r1","cho`), response.end()),
    ],
    ['that ended without saying why', (response) => (begin(response, call), response.end())],
    [
      'with an error in it',
      (response) => (begin(response, `${call}data: {"error":{"message":"overloaded"}}\n\n`), response.end()),
    ],
    [
      'that is no answer',
      (response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>proxy</p>'),
    ],
  ])('is done after a stream %s, with nothing of it used or printed', async (_what, broken) => {
    expect(await asksAfter(broken)).toBe(2);
  });

  it('is done after a stream that fell silent, with nothing of it used or printed', async () => {
    // Where this process stands still, the next one is too late as well.
    expect(await asksAfter((response) => begin(response, call), { timeoutMs: 700 })).toBeGreaterThan(1);
  });

  it('tells that the text of a broken answer is void, and nothing of one that brought no text', async () => {
    const deltas: ModelDelta[] = [];
    const half = [chunk({ content: 'It ' }), chunk({ content: 'rai' })].join('');
    const { model } = await endpoint((response, attempt) => {
      if (attempt === 1) return void (begin(response, half), response.end());
      if (attempt < 4) return sendError(response, 503, { 'retry-after-ms': '1' });
      sendStream(response, chunk({ content: 'It snows.' }), chunk({}, 'stop'));
    });
    await model().ask(asking({ onDelta: (delta) => void deltas.push(delta) }));
    expect(deltas).toEqual([{ text: 'It ' }, { text: 'rai' }, { restart: true }, { text: 'It snows.' }]);
  });

  it('tells text while the rest of the answer is still on its way', async () => {
    const [sent, told] = [Promise.withResolvers<ServerResponse>(), Promise.withResolvers<void>()];
    const { model } = await endpoint((response) => {
      begin(response, chunk({ content: 'It ' }));
      sent.resolve(response);
    });
    const answer = model().ask(asking({ onDelta: () => told.resolve() }));
    const response = await sent.promise;
    await told.promise;
    response.end([chunk({ content: 'rains.' }), chunk({}, 'stop'), 'data: [DONE]\n\n'].join(''));
    expect((await answer).message.content).toBe('It rains.');
  });

  const unfinished = '{"choices":[{"message":{"role":"assistant","content":"half"}}]}';
  it.each(['{"choices":[{"mess', '{"choices":[]}', '"proxy"', unfinished])(
    'is done after the whole response %s',
    async (text) => {
      const { model, bodies } = await endpoint((response, attempt) =>
        attempt === 1
          ? void response.writeHead(200, { 'content-type': 'application/json' }).end(text)
          : sendWhole(response, { role: 'assistant', content: 'done' }),
      );
      expect((await model({ stream: false }).ask(asking())).message.content).toBe('done');
      expect(bodies).toHaveLength(2);
    },
  );

  it.each([408, 409, 429, 500, 503])('is done after %i, as soon as Retry-After says', async (status) => {
    const { model, bodies } = await endpoint((response, attempt) =>
      attempt < 3
        ? sendError(response, status, { 'retry-after-ms': '5', 'retry-after': '50' })
        : sendStream(response, ...done),
    );
    expect((await model().ask(asking())).message.content).toBe('done');
    expect(bodies).toHaveLength(3);
  });

  it.each([
    ['in seconds', '120', /wait 120000 ms; at most 60000/],
    ['as a date', new Date(Date.now() + 3_600_000).toUTCString(), /wait 3\d{6} ms/],
  ])('is not done when Retry-After, %s, is longer than it may be', async (_how, retryAfter, text) => {
    const { model, bodies } = await endpoint((response) => sendError(response, 429, { 'retry-after': retryAfter }));
    const asked = model().ask(asking());
    await expect(asked).rejects.toMatchObject({ name: 'ModelError', status: 429 });
    await expect(asked).rejects.toThrow(text);
    expect(bodies).toHaveLength(1);
  });

  it.each([400, 401, 403, 404, 422])('is not done after %i, which is told without the key', async (status) => {
    const { model, bodies } = await endpoint((response) => sendError(response, status, {}, `no use for ${apiKey}`));
    const error = await model()
      .ask(asking())
      .then(
        () => undefined,
        (reason: unknown) => reason as Error,
      );
    expect(error).toMatchObject({ name: 'ModelError', status, message: `gpt-x: ${status} no use for [redacted]` });
    expect(error?.cause).toBeUndefined();
    expect(bodies).toHaveLength(1);
  });

  it('is done, or not, as x-should-retry says', async () => {
    const never = await endpoint((response) => sendError(response, 500, { 'x-should-retry': 'false' }));
    await expect(never.model().ask(asking())).rejects.toThrow('gpt-x: 500 status 500');
    expect(never.bodies).toHaveLength(1);
    const always = await endpoint((response, attempt) =>
      attempt === 1
        ? sendError(response, 400, { 'x-should-retry': 'true', 'retry-after-ms': '1' })
        : sendStream(response, ...done),
    );
    await always.model().ask(asking());
    expect(always.bodies).toHaveLength(2);
  });

  it('is not done after an error in a stream whose code says that it is no use', async () => {
    const error = 'data: {"error":{"message":"too long","code":400}}\n\n';
    const { model, bodies } = await endpoint((response) => sendStream(response, error));
    await expect(model().ask(asking())).rejects.toMatchObject({ message: 'gpt-x: too long', status: 400 });
    expect(bodies).toHaveLength(1);
  });

  it('ends with what was wrong in a few words, however much the server says', async () => {
    const { model } = await endpoint((response) =>
      sendError(response, 502, { 'retry-after-ms': '1' }, 'x'.repeat(5_000)),
    );
    const message = await model({ maxAttempts: 3 }).ask(asking()).then(String, String);
    expect(message).toMatch(/^ModelError: gpt-x: 502 x+ \(after 3 attempts\)$/);
    expect(message.length).toBeLessThan(600);
  });

  it('ends with the address where nobody listens', async () => {
    const closed = new LLMock({ port: 0 });
    const url = await closed.start();
    await closed.stop();
    const model = openaiChat({ model: 'gpt-x', apiKey, baseURL: `${url}/v1`, maxAttempts: 1 });
    await expect(model.ask(asking())).rejects.toThrow(/^gpt-x: no connection: connect ECONNREFUSED 127\.0\.0\.1:\d+/);
  });

  it('ends a stream and a pause with the reason of an abort', async () => {
    const reason = new Error('enough');
    const inStream = new AbortController();
    const streaming = await endpoint((response) => {
      begin(response, call);
      setImmediate(() => inStream.abort(reason));
    });
    await expect(streaming.model().ask(asking({ signal: inStream.signal }))).rejects.toBe(reason);
    const inPause = new AbortController();
    const busy = await endpoint((response) => {
      sendError(response, 429, { 'retry-after': '30' });
      void once(response, 'close').then(() => inPause.abort(reason));
    });
    await expect(busy.model().ask(asking({ signal: inPause.signal }))).rejects.toBe(reason);
    expect([streaming.bodies.length, busy.bodies.length]).toEqual([1, 1]);
  });
});
