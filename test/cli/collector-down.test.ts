import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { callyard } from '../support/callyard-command.ts';
import { setup } from '../support/setup.ts';

/** A collector that takes connections and never answers, and how many it has taken. */
async function hungCollector() {
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => {}).resume();
    onTestFinished(() => void socket.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const settings = { OTEL_METRICS_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` };
  return { settings, taken: () => connections };
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
    const { settings, taken } = await hungCollector();
    const startedAt = performance.now();
    const args = ['run', 'submit', 'Hello?', ...ofAcme, '--user', 'mia', '--model', 'none', '--json'];
    const { code, stdout } = await callyard(args, { CALLYARD_PREFIX: prefix, ...settings });
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ runId: expect.any(String) as string });
    expect(taken(), 'traces and metrics').toBe(2);
    expect(performance.now() - startedAt).toBeLessThan(9_000);
  });
});
