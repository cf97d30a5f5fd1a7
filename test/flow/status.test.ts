import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createLogger } from '@callyard/shared/log';
import { startStatusServer } from '../../packages/cli/src/status-server.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { freePort, scrape } from '../support/scrape.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { dispatcherProcesses, ended, steady, workerProcesses } from '../support/worker-process.ts';

const shownOn = (port: number) => ({ CALLYARD_METRICS_PORT: String(port), CALLYARD_METRICS_HOST: '127.0.0.1' });

async function ask(port: number, path: string): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return [response.status, (await response.text()).trim()];
}

/** Sends this as it stands, and resolves with what came until the other side closed. */
async function raw(port: number, text: string): Promise<string> {
  const closed = Promise.withResolvers<void>();
  const socket = connect(port, '127.0.0.1');
  let answer = '';
  socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
  socket.on('error', () => {}); // closed in the middle of what was sent, which is an answer, too
  socket.on('close', () => closed.resolve());
  socket.write(text);
  await closed.promise;
  return answer;
}

/** The status of the last answer on a connection that is closed after it. */
async function statusOf(port: number, line: string, more = ''): Promise<number> {
  const answer = await raw(port, `${line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n${more}\r\n`);
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}

describe('a process that serves', () => {
  it.each(['worker', 'dispatcher'] as const)('says that it lives and is ready: a %s', async (kind) => {
    const yard = await setup();
    const port = await freePort();
    await (kind === 'worker' ? workerProcesses : dispatcherProcesses)(yard, 1, { ...steady, ...shownOn(port) });
    expect(await ask(port, '/healthz')).toEqual([200, 'ok']);
    expect(await ask(port, '/readyz')).toEqual([200, 'ready']);
    expect(await ask(port, '/metrics?x=y')).toMatchObject([200, expect.stringContaining('target_info{')]);
    expect(await ask(port, '/elsewhere')).toEqual([404, 'not found']);
  });

  it('lives but is not ready while Redis is out of reach, and shows its metrics all the same', async () => {
    const yard = await setup();
    const proxy = await redisProxy(yard.redisUrl);
    const port = await freePort();
    await dispatcherProcesses({ ...yard, redisUrl: proxy.url }, 1, shownOn(port));
    proxy.dieAfter(1);
    await expect.poll(() => ask(port, '/readyz')).toEqual([503, 'Redis does not answer']);
    expect(await ask(port, '/healthz')).toEqual([200, 'ok']);
    expect((await scrape(port)).sum('process_memory_usage')).toBeGreaterThan(0);
    proxy.revive();
    await expect.poll(() => ask(port, '/readyz')).toEqual([200, 'ready']);
  });

  it('is not ready once the catalog has lost it', async () => {
    const yard = await setup();
    const port = await freePort();
    await workerProcesses(yard, 1, { ...shownOn(port), CALLYARD_HEARTBEAT_MS: '60000' });
    await yard.redis.del(yard.names.workers);
    expect(await ask(port, '/readyz')).toEqual([503, 'not in the catalog']);
  });

  it('lives on whatever it is asked by anybody', async () => {
    const yard = await setup();
    const port = await freePort();
    const [worker] = await workerProcesses(yard, 1, shownOn(port));
    expect(await statusOf(port, 'GET //')).toBe(404);
    const odd = '/// //[ //a:b:c //% /%00 /\x80 /?x=// /constructor /__proto__ http://';
    for (const target of odd.split(' ')) expect([400, 404]).toContain(await statusOf(port, `GET ${target}`));
    expect(await statusOf(port, 'GET http://elsewhere:1/healthz?x')).toBe(200);
    expect(await statusOf(port, 'OPTIONS *')).toBe(404);
    expect(await statusOf(port, 'GET ')).toBe(400);
    expect(await statusOf(port, 'CONNECT //')).toBeNaN();
    expect(await statusOf(port, 'GET //', `x: ${'y'.repeat(20_000)}\r\n`)).toBe(431);
    expect(await statusOf(port, 'GET /healthz', 'upgrade: websocket\r\n')).toBe(200);
    const many = 'GET // HTTP/1.1\r\nhost: a\r\n\r\nGET /readyz HTTP/1.1\r\nhost: a\r\n\r\n'.repeat(500);
    expect(await raw(port, `${many}GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n`)).toContain('ok\n');
    for (const path of ['/metrics', '/readyz', '//']) {
      const leaving = connect(port, '127.0.0.1', () => {
        leaving.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`, () => leaving.resetAndDestroy());
      });
      await once(leaving, 'close');
    }
    expect(await ask(port, '/healthz')).toEqual([200, 'ok']);
    expect(worker?.process.exitCode).toBeNull();
  });

  it('answers with an error where an answer fails, and says so in its log', async () => {
    const port = await freePort();
    const lines: Record<string, unknown>[] = [];
    const log = createLogger({
      name: 'test',
      destination: { write: (line) => void lines.push(JSON.parse(line) as never) },
    });
    const fail = () => {
      throw new Error('no figures');
    };
    const status = await startStatusServer({
      metricsPort: port,
      metricsHost: '127.0.0.1',
      show: (request, response) => {
        if (request.url === '/metrics?late') response.write('half');
        return request.url === '/metrics?later' ? Promise.reject(new Error('no figures')) : fail();
      },
      isReady: fail,
      log,
    });
    onTestFinished(() => status.stop());
    expect(await ask(port, '/metrics')).toEqual([500, 'failed']);
    expect(await ask(port, '/metrics?later')).toEqual([500, 'failed']);
    await expect(ask(port, '/metrics?late')).rejects.toThrow('terminated');
    expect(await ask(port, '/readyz')).toEqual([503, 'Redis does not answer']);
    const line = {
      event: 'status.failed',
      level: 'error',
      err: expect.objectContaining({ message: 'no figures' }) as unknown,
    };
    expect(lines).toMatchObject([line, line, line]);
  });

  it('serves without metrics where its port is taken', async () => {
    const yard = await setup();
    const port = await freePort();
    await workerProcesses(yard, 1, shownOn(port));
    const [second] = await workerProcesses(yard, 1, shownOn(port));
    expect((await scrape(port)).sum('callyard_worker_slots')).toBe(50);
    second?.process.kill('SIGTERM');
    expect(await ended(second!)).toBe(0);
  });

  it('takes no port where it is to show nothing', async () => {
    const yard = await setup();
    const port = await freePort();
    const [worker] = await workerProcesses(yard, 1, { ...shownOn(port), CALLYARD_METRICS_PORT: '0' });
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow('fetch failed');
    worker?.process.kill('SIGTERM');
    expect(await ended(worker!)).toBe(0);
  });

  it('sends its metrics to the OTLP receiver as it ends, where it is to', async () => {
    const yard = await setup();
    const bodies: string[] = [];
    const server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        bodies.push(`${request.url} ${body}`);
        response.setHeader('content-type', 'application/json').end('{}');
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, OTEL_METRICS_EXPORTER: 'otlp' };
    const [worker] = await workerProcesses(yard, 1, { ...steady, ...settings });
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    await dispatcher.waitForTools(['nap']);
    await dispatcher.execute([toolCall('nap', { ms: 1 })], { principal });
    worker?.process.kill('SIGTERM');
    expect(await ended(worker!)).toBe(0);
    const sent = bodies.filter((body) => body.startsWith('/v1/metrics'));
    expect(sent.join()).toContain('"callyard.calls"');
    expect(sent.join()).toContain('"callyard-worker"');
  });

  it('tells of the spans that its collector made it drop', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1'); // takes all and answers nothing
    await once(server, 'listening');
    const port = await freePort();
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const script = new URL('../support/dropping-process.ts', import.meta.url);
    const child = fork(script, [endpoint, String(port)]);
    onTestFinished(() => {
      child.kill('SIGKILL');
      server.close();
      server.closeAllConnections();
    });
    await once(child, 'message');
    const { sum } = await scrape(port);
    const dropped = sum('otel_sdk_processor_span_processed_total', { error_type: 'queue_full' });
    expect(dropped).toBeGreaterThanOrEqual(1_000);
    expect(dropped).toBeLessThan(20_000 - 16_000);
  });
});
