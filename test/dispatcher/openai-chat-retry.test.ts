import { describe, expect, it } from 'vitest';
import { asking, chunk, done, endpoint, fail, stream } from '../support/chat-endpoint.ts';

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
    await expect(busy.model().ask(asking({ signal: inPause.signal }))).rejects.toThrow(/abort|enough/i);
    expect(busy.bodies).toHaveLength(1);
  });
});
