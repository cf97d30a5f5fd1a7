import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import { activeTraceId, inChatSpan } from '@callyard/shared/telemetry';
import { startTelemetry } from '@callyard/shared/telemetry-start';
import { startOtlpReceiver, type OtlpReceiver } from '../../packages/cli/src/otlp-receiver.ts';

const script = new URL('../support/traced-process.ts', import.meta.url);
const flooder = new URL('../support/flooding-process.ts', import.meta.url);

/** What a process exported with the real exporter, once it has ended. */
async function exported(settings: Record<string, string> = {}): Promise<OtlpReceiver> {
  const receiver = await startOtlpReceiver();
  onTestFinished(receiver.stop);
  const child = fork(script, [receiver.endpoint], { env: environmentWith(settings) });
  expect(await once(child, 'exit')).toEqual([0, null]);
  return receiver;
}

const principal = { owner: 'acme', userId: 'mia', roles: [], permissions: [] };
const chat = { model: 'm', provider: 'scripted', conversationId: undefined, runId: 'r1', principal };

describe('a process that is traced', () => {
  it('sends its spans before it ends', async () => {
    const { spans } = await exported();
    expect(spans).toMatchObject([
      {
        name: 'chat m',
        kind: 'CLIENT',
        status: 'UNSET',
        service: 'traced',
        attributes: { 'gen_ai.response.finish_reasons': ['stop'], 'gen_ai.usage.input_tokens': 12 },
      },
    ]);
  });

  it('is named by the environment where that names it', async () => {
    expect((await exported({ OTEL_SERVICE_NAME: 'theirs' })).spans[0]?.service).toBe('theirs');
  });

  it('says nothing of its command line, its folder or its user', async () => {
    const raw = (await exported()).raw();
    expect(raw).toContain('"host.name"');
    for (const told of ['traced-process', process.cwd(), '"process.', `"${userInfo().username}"`]) {
      expect(raw).not.toContain(told);
    }
  });

  it('leaves sampling to the environment', async () => {
    expect((await exported({ OTEL_TRACES_SAMPLER: 'always_off' })).spans).toEqual([]);
  });

  it.each([
    ['2,048 characters and 32 events', {}, 2_048, 32],
    [
      'what the environment says',
      { OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT: '100', OTEL_SPAN_EVENT_COUNT_LIMIT: '5' },
      100,
      5,
    ],
  ])('cuts its spans to %s', async (_what, env, characters, events) => {
    const [span] = (await exported(env)).spans;
    expect(span?.attributes['gen_ai.response.id']).toHaveLength(characters);
    expect(span?.events).toHaveLength(events);
  });

  it('sends no logs and no metrics, whatever else the environment asks for', async () => {
    const paths: (string | undefined)[] = [];
    const server = createServer((request, response) => {
      paths.push(request.url);
      response.setHeader('content-type', 'application/json').end('{}');
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const env = environmentWith({
      OTEL_EXPORTER_OTLP_ENDPOINT: endpoint,
      OTEL_LOGS_EXPORTER: 'otlp',
      OTEL_METRICS_EXPORTER: 'otlp',
    });
    await once(fork(script, [`${endpoint}/`], { env }), 'exit');
    expect(paths).toEqual(['/v1/traces']);
  });
});

describe('a collector that hangs', () => {
  it('costs a process the spans that its queue has no room for, and no memory beyond that', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      server.close();
      server.closeAllConnections();
    });
    const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const flooding = fork(flooder, [endpoint], { execArgv: ['--expose-gc'], env: environmentWith({}) });
    onTestFinished(() => void flooding.kill('SIGKILL'));
    const [{ full, later, tookMs }] = (await once(flooding, 'message')) as [
      Record<'full' | 'later' | 'tookMs', number>,
    ];
    expect(later - full).toBeLessThan(8 * 2 ** 20); // 20,000 spans would be twice as much
    expect(tookMs).toBeLessThan(10_000); // which one batch of many would be given
  });
});

describe('tracing in this process', () => {
  it('is not begun without an endpoint', async () => {
    const telemetry = startTelemetry({ serviceName: 'test', endpoint: '' });
    expect(await inChatSpan(chat, async () => activeTraceId())).toBeUndefined();
    await telemetry.shutdown();
  });

  it('ends 5 s after it was asked to, though its collector hangs', async () => {
    const server = createServer(() => {}).listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => {
      vi.useRealTimers();
      server.close();
      server.closeAllConnections();
    });
    const { port } = server.address() as AddressInfo;
    const telemetry = startTelemetry({ serviceName: 'test', endpoint: `http://127.0.0.1:${port}` });
    expect(await inChatSpan(chat, async () => activeTraceId())).toMatch(/^[0-9a-f]{32}$/);

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const asked = once(server, 'request');
    let over = false;
    const shutdown = telemetry.shutdown().then(() => (over = true));
    await asked;
    await vi.advanceTimersByTimeAsync(4_999);
    expect(over).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect(await shutdown).toBe(true);
  });
});
