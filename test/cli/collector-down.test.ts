import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { callyard } from '../support/callyard-command.ts';
import { setup } from '../support/setup.ts';

/** A collector that takes connections and never answers, how many it has taken, and for what. */
async function hungCollector() {
  let connections = 0;
  const asked = new Set<string | undefined>();
  const told = Promise.withResolvers<void>();
  const server = createServer((socket) => {
    connections += 1;
    told.resolve();
    socket.once('data', (request) => asked.add(String(request).split(' ')[1]));
    socket.on('error', () => {}).resume();
    onTestFinished(() => void socket.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const settings = { OTEL_METRICS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` };
  return { settings, taken: () => connections, told: told.promise, asked };
}

const ofAcme = ['--owner', 'acme'];

describe('a collector that hangs', () => {
  it.each([
    ['why', 'no-run.0.0'],
    ['tools', 'list'],
    ['limits', 'mia', ...ofAcme],
    ['dead', 'list'],
    ['run', 'show', 'no-run', ...ofAcme],
  ])('is told nothing by %s %s, which only looks', async (...args) => {
    const { prefix } = await setup();
    const { settings, taken } = await hungCollector();
    const { stderr } = await callyard(args, { CALLYARD_PREFIX: prefix, ...settings });
    expect(stderr).not.toMatch(/^ +at /m);
    expect(taken()).toBe(0);
  });

  it('keeps a command that sends something no longer than a moment', async () => {
    const { prefix } = await setup();
    const { settings, told, asked } = await hungCollector();
    const startedAt = told.then(() => performance.now());
    const args = ['run', 'submit', 'Hello?', ...ofAcme, '--user', 'mia', '--model', 'none', '--json'];
    const { code, stdout } = await callyard(args, { CALLYARD_PREFIX: prefix, ...settings });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ runId: expect.any(String) as string });
    expect(asked).toEqual(new Set(['/v1/traces', '/v1/metrics']));
    // Its own exporters would wait for 10 s, this command for 2.
    expect(performance.now() - (await startedAt)).toBeLessThan(9_000);
  });
});
