import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { redisProxy } from '../support/redis-proxy.ts';
import { freePort, scrape } from '../support/scrape.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { dispatcherProcesses, ended, workerProcesses } from '../support/worker-process.ts';

const shownOn = (port: number) => ({ CALLYARD_METRICS_PORT: String(port), CALLYARD_METRICS_HOST: '127.0.0.1' });

async function ask(port: number, path: string): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return [response.status, (await response.text()).trim()];
}

describe('a process that serves', () => {
  it.each(['worker', 'dispatcher'] as const)('says that it lives and is ready: a %s', async (kind) => {
    const yard = await setup();
    const port = await freePort();
    await (kind === 'worker' ? workerProcesses : dispatcherProcesses)(yard, 1, shownOn(port));
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
    const [worker] = await workerProcesses(yard, 1, settings);
    const dispatcher = await yard.dispatcher();
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
