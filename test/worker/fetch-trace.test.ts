import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createFetch } from '../../packages/worker/src/fetch.ts';

async function serving(handler: RequestListener) {
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { host, url: `http://${host}/` };
}

describe('ctx.fetch and the trace', () => {
  const trace = { traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-01` };
  const signal = new AbortController().signal;

  it('is told to hosts that the policy marks, and not to those they redirect to', async () => {
    const heard: (string | undefined)[] = [];
    const hear = ({ headers }: IncomingMessage) => heard.push(headers.traceparent as string | undefined);
    const other = await serving((request, response) => {
      hear(request);
      response.end();
    });
    const marked = await serving((request, response) => {
      hear(request);
      if (request.url === '/') response.writeHead(302, { location: other.url });
      response.end();
    });
    const hosts = [
      { host: marked.host, internal: true, trace: true },
      { host: other.host, internal: true },
    ];
    const traced = createFetch({ hosts, signal, trace });
    await traced(marked.url);
    await traced(other.url);
    expect(heard).toEqual([trace.traceparent, undefined, undefined]);
    heard.length = 0;
    await traced(`${marked.url}own`, { headers: { traceparent: 'mine' } });
    await createFetch({ hosts, signal })(`${marked.url}none`);
    expect(heard).toEqual(['mine', undefined]);
  });
});
