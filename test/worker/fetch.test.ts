import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Policy } from '@callyard/shared/policy';
import { classifyError } from '../../packages/worker/src/classify.ts';
import { createFetch } from '../../packages/worker/src/fetch.ts';

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

async function listening(handler?: Handler) {
  const server = createServer(handler);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { server, host, url: `http://${host}/` };
}

async function serving(handler: Handler) {
  const { server, ...at } = await listening(handler);
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return at;
}

async function closedPort() {
  const { server, ...at } = await listening();
  server.close();
  await once(server, 'close');
  return at;
}

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
const collectGarbage = () => {
  const collecting = setInterval(gc, 20);
  onTestFinished(() => clearInterval(collecting));
};

const internal = (...hosts: string[]): Policy['hosts'] => hosts.map((host) => ({ host, internal: true }));
const fetcher = (hosts: Policy['hosts'], signal = new AbortController().signal) => createFetch({ hosts, signal });
const errorOf = async (work: Promise<unknown>) =>
  classifyError(
    await work.then(
      () => undefined,
      (error: unknown) => error,
    ),
  );

describe('ctx.fetch refuses', () => {
  it.each([
    ['a host the policy does not list', 'https://other.example.com/', ['api.example.com']],
    ['everything, where the policy lists none', 'https://api.example.com/', []],
    [
      'a host that only ends like a listed one',
      'https://evil-api.example.com/',
      ['api.example.com', '*.api.example.com'],
    ],
    ['another port than the listed one', 'https://api.example.com:8443/', ['api.example.com:443']],
    ['credentials in the URL', 'https://user:secret@api.example.com/', ['api.example.com']],
    ['the domain itself, where only what is below it is listed', 'https://example.com/', ['*.example.com']],
    ['another protocol', 'file:///etc/passwd', ['']],
  ])('%s', async (_what, url, hosts) => {
    const error = await errorOf(fetcher(hosts)(url));
    expect(error).toMatchObject({
      code: 'upstream_error',
      retry: 'never',
      message: expect.stringContaining('Not fetched') as string,
    });
    expect(error.message).not.toContain('secret');
  });

  it.each([
    '127.0.0.1',
    'localhost',
    '[::1]',
    '0x7f.1',
    '2130706433',
    '[::ffff:127.0.0.1]',
    '169.254.169.254',
    '168.63.129.16',
    '10.0.0.1',
    '192.168.1.1',
    '100.64.0.1',
    '[fd00:ec2::254]',
    '0.0.0.0',
  ])('the private address behind %s, listed though it is', async (host) => {
    const { hostname } = new URL(`http://${host}/`);
    const error = await errorOf(fetcher([hostname])(`http://${host}:8080/`));
    expect(error).toMatchObject({ retry: 'never', message: expect.stringContaining('internal: true') as string });
  });

  it.each([
    'http://127.0.0.1:1/',
    'http://169.254.169.254/latest/meta-data/',
    'http://localhost:1/',
    'file:///etc/passwd',
    'https://other.example.com/',
  ])('a redirect to %s', async (location) => {
    const { host, url } = await serving((_request, response) => response.writeHead(302, { location }).end());
    expect(await errorOf(fetcher(internal(host))(url))).toMatchObject({
      retry: 'never',
      message: expect.stringContaining('Not fetched') as string,
    });
  });

  it('a redirect to a listed host with a private address', async () => {
    const inside = await serving((_request, response) => response.end('inside'));
    const byName = { host: 'localhost', url: inside.url.replace('127.0.0.1', 'localhost') };
    for (const target of [inside, byName]) {
      const { host, url } = await serving((_request, response) =>
        response.writeHead(302, { location: target.url }).end(),
      );
      const error = await errorOf(fetcher([...internal(host), target.host])(url));
      expect(error).toMatchObject({ retry: 'never', message: expect.stringContaining('internal: true') as string });
    }
  });

  it('to be sent around for ever', async () => {
    const { host, url } = await serving((_request, response) => response.writeHead(302, { location: '/' }).end());
    expect((await errorOf(fetcher(internal(host))(url))).message).toContain('redirects more often than it may');
  });

  it('a body that does not end, and does not try it again', async () => {
    const { host, url } = await serving((_request, response) => {
      const more = (gone?: Error | null) => gone || response.write(Buffer.alloc(2 ** 20), more);
      more();
    });
    const response = await fetcher(internal(host))(url);
    expect(await errorOf(response.text())).toMatchObject({
      code: 'upstream_error',
      retry: 'never',
      message: `Not fetched: ${host} sent more than 10485760 bytes.`,
    });
  });

  it('a small body that unpacks to a large one', async () => {
    const { host, url } = await serving((_request, response) =>
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(11 * 2 ** 20))),
    );
    const response = await fetcher(internal(host))(url);
    expect(await errorOf(response.arrayBuffer())).toMatchObject({
      retry: 'never',
      message: expect.stringContaining('sent more than') as string,
    });
  });

  it('a request that cannot be made, and does not try it again', async () => {
    const { host, url } = await serving((_request, response) => response.end());
    const request = fetcher(internal(host))(url, { headers: { 'not a name': 'x' } });
    expect(await errorOf(request)).toMatchObject({ code: 'tool_error', retry: 'never' });
  });

  it('a redirect where the handler wants none', async () => {
    const { host, url } = await serving((_request, response) => response.writeHead(302, { location: '/' }).end());
    const error = await errorOf(fetcher(internal(host))(url, { redirect: 'error' }));
    expect(error).toMatchObject({ retry: 'never', message: `Not fetched: ${host} redirects more often than it may.` });
  });
});

describe('ctx.fetch', () => {
  it('reaches an internal host where the policy says so, by host or host and port', async () => {
    const { host, url } = await serving((request, response) =>
      response.end(`${request.method} ${String(request.headers['x-a'])}`),
    );
    const answer = await fetcher(internal(host))(url, { headers: { 'x-a': '1' } });
    expect(await answer.text()).toBe('GET 1');
    expect(await (await fetcher(internal('127.0.0.1'))(url)).text()).toBe('GET undefined');
  });

  it('knows the port that a protocol has by itself', async () => {
    const error = await errorOf(fetcher(['127.0.0.1:443'])('https://127.0.0.1/'));
    expect(error.message).toContain('internal: true');
  });

  it('takes *.name for every host below a name', async () => {
    const { url } = await serving((_request, response) => response.end('below'));
    expect(await (await fetcher(internal('*.0.0.1'))(url)).text()).toBe('below');
  });

  it('leaves a redirect to the handler that asks for it', async () => {
    const { host, url } = await serving((_request, response) => response.writeHead(302, { location: '/next' }).end());
    const answer = await fetcher(internal(host))(url, { redirect: 'manual' });
    expect([answer.status, answer.headers.get('location')]).toEqual([302, '/next']);
  });

  it('answers with a Response like any other, and where it came from', async () => {
    const { host, url } = await serving((request, response) =>
      request.url === '/' ? response.writeHead(302, { location: '/next' }).end() : response.writeHead(204).end(),
    );
    const answer = await fetcher(internal(host))(url);
    expect(answer).toBeInstanceOf(Response);
    expect([answer.status, answer.url]).toEqual([204, `${url}next`]);
  });

  it('tells secrets to the origin they are for, not to the next', async () => {
    const second = await serving((request, response) => response.end(JSON.stringify(request.headers)));
    const first = await serving((_request, response) => response.writeHead(307, { location: second.url }).end());
    const headers = { authorization: 'Bearer x', cookie: 'a=b', 'x-kept': 'yes' };
    const answer = await fetcher(internal(first.host, second.host))(first.url, { headers });
    const seen = (await answer.json()) as Record<string, string>;
    expect(seen.authorization).toBeUndefined();
    expect(seen.cookie).toBeUndefined();
    expect(seen['x-kept']).toBe('yes');
  });

  it.each([
    [303, 'PUT', 'GET'],
    [302, 'POST', 'GET'],
    [307, 'POST', 'POST'],
  ])('after %i makes of %s a %s', async (status, method, then) => {
    const { host, url } = await serving((request, response) =>
      request.url === '/' ? response.writeHead(status, { location: '/next' }).end() : response.end(request.method),
    );
    const answer = await fetcher(internal(host))(url, { method, body: 'x' });
    expect(await answer.text()).toBe(then);
  });

  it.each([
    [429, { 'retry-after': '2' }, { afterMs: 2_000 }],
    [
      503,
      { 'retry-after': new Date(Date.now() + 86_400_000).toUTCString() },
      { afterMs: expect.closeTo(86_400_000, -5) as number }, // within 50 s, as it was written before all tests of this file
    ],
    [503, {}, 'backoff'],
    [500, {}, 'backoff'],
    [408, {}, 'backoff'],
  ])('makes of %i %j an error that is tried again', async (status, headers, retry) => {
    const { host, url } = await serving((_request, response) => response.writeHead(status, headers).end());
    expect(await errorOf(fetcher(internal(host))(url))).toMatchObject({
      code: 'upstream_error',
      retry,
      details: { status },
    });
  });

  it('leaves other answers to the handler', async () => {
    const { host, url } = await serving((_request, response) => response.writeHead(404).end('not here'));
    const answer = await fetcher(internal(host))(url);
    expect([answer.status, await answer.text()]).toEqual([404, 'not here']);
  });

  it('tries a refused connection again, without telling the address', async () => {
    const { host, url } = await closedPort();
    expect(await errorOf(fetcher(internal(host))(url))).toMatchObject({
      code: 'upstream_error',
      retry: 'backoff',
      message: `${host} could not be reached (ECONNREFUSED).`,
    });
  });

  it('does not try a port again that fetch never connects to', async () => {
    const error = await errorOf(fetcher(internal('127.0.0.1:1'))('http://127.0.0.1:1/'));
    expect(error).toMatchObject({ retry: 'never', message: '127.0.0.1:1 could not be reached (bad port).' });
  });

  it('tries an answer again that is no HTTP', async () => {
    const { host, url } = await serving((request) => void request.socket.end('no HTTP at all\r\n\r\n'));
    expect(await errorOf(fetcher(internal(host))(url))).toMatchObject({ code: 'upstream_error', retry: 'backoff' });
  });

  it.each([
    ['cancels', (answer: Response) => answer.body?.cancel()],
    ['never reads', collectGarbage],
  ])('lets go of the connection of a body that the handler %s', async (_what, leave) => {
    const closed = Promise.withResolvers<void>();
    const { host, url } = await serving((request, response) => {
      request.socket.once('close', () => closed.resolve());
      response.write('half');
    });
    await leave(await fetcher(internal(host))(url));
    await expect(closed.promise).resolves.toBeUndefined();
  });

  it('stops with its call, before the answer and in the middle of it', async () => {
    const before = new AbortController();
    const silent = await serving(() => before.abort(new Error('timed out')));
    await expect(fetcher(internal(silent.host), before.signal)(silent.url)).rejects.toThrow('timed out');
    const within = new AbortController();
    const slow = await serving((_request, response) => void response.write('half'));
    const answer = await fetcher(internal(slow.host), within.signal)(slow.url);
    const text = answer.text();
    within.abort(new Error('timed out'));
    await expect(text).rejects.toThrow('timed out');
  });

  it('tries a connection again that is lost in the middle of a body', async () => {
    const { host, url } = await serving(
      (_request, response) => void response.write('half', () => response.socket?.destroy()),
    );
    const answer = await fetcher(internal(host))(url);
    expect(await errorOf(answer.text())).toMatchObject({ code: 'upstream_error', retry: 'backoff' });
  });
});
