import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { findProgram } from './find-program.ts';
import { freePort } from './scrape.ts';
import { folderWith } from './temporary-folder.ts';

/** A span as a backend gives it back. */
interface StoredSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  name: string;
  isError: boolean;
  durationMs: number;
  attributes: Record<string, unknown>;
  /** the spans it is linked to, its parent not among them */
  links: string[];
}

/** What somebody on call asks a backend for: whole traces, by what is known of one of their spans. */
export interface TraceQuery {
  service: string;
  attributes?: Record<string, string>;
  name?: string;
  minDurationMs?: number;
}

export interface TraceBackend {
  /** base URL of its OTLP receiver */
  endpoint: string;
  /** by trace */
  find(query: TraceQuery): Promise<StoredSpan[][]>;
}

/** `autotel-devtools`, which keeps what it receives in SQLite: docs in its package. */
export async function startDevtools(): Promise<TraceBackend> {
  const port = await freePort();
  const script = fileURLToPath(new URL('cli.js', import.meta.resolve('autotel-devtools')));
  const args = [script, '--port', String(port), '--grpc-port', String(await freePort())];
  const endpoint = `http://127.0.0.1:${port}`;
  await started(spawn(process.execPath, args, { stdio: 'ignore' }), `${endpoint}/healthz`);
  return { endpoint, find: (query) => askDevtools(endpoint, query) };
}

async function askDevtools(endpoint: string, query: TraceQuery): Promise<StoredSpan[][]> {
  const { service, attributes = {}, name, minDurationMs } = query;
  const parts = [
    `service = "${service}"`,
    ...Object.entries(attributes).map(([key, value]) => `"${key}" = "${value}"`),
    ...(name === undefined ? [] : [`name = "${name}"`]),
    ...(minDurationMs === undefined ? [] : [`duration >= ${minDurationMs}`]),
  ];
  const response = await fetch(`${endpoint}/api/query/traces`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: parts.join(' AND '), limit: 100 }),
  });
  const { traces } = (await response.json()) as { traces: { spans: DevtoolsSpan[] }[] };
  return traces.map(({ spans }) => spans.map(fromDevtools));
}

interface DevtoolsSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  duration: number;
  status: { code: string };
  attributes: Record<string, unknown>;
  links?: { spanId: string }[];
}

const fromDevtools = (span: DevtoolsSpan): StoredSpan => ({
  traceId: span.traceId,
  spanId: span.spanId,
  parentSpanId: span.parentSpanId || undefined,
  name: span.name,
  isError: span.status.code === 'ERROR',
  durationMs: span.duration,
  attributes: span.attributes,
  links: (span.links ?? []).map(({ spanId }) => spanId).filter((id) => id !== span.parentSpanId),
});

/** Where a Jaeger v2 is on the PATH: it has no package of npm or Debian, and builds from its Go module. */
export const hasJaeger = findProgram('jaeger') !== undefined;

/** Jaeger v2 with its memory store. */
export async function startJaeger(): Promise<TraceBackend> {
  const [otlp, api, grpc, health] = await Promise.all([freePort(), freePort(), freePort(), freePort()]);
  const folder = await folderWith({ 'jaeger.yaml': jaegerConfig({ otlp, api, grpc, health }) });
  await started(
    spawn('jaeger', ['--config', `${folder}/jaeger.yaml`], { stdio: 'ignore' }),
    `http://127.0.0.1:${health}/status`,
  );
  const endpoint = `http://127.0.0.1:${otlp}`;
  return { endpoint, find: (query) => askJaeger(`http://127.0.0.1:${api}`, query) };
}

const jaegerConfig = ({ otlp, api, grpc, health }: Record<'otlp' | 'api' | 'grpc' | 'health', number>): string =>
  JSON.stringify({
    service: {
      extensions: ['jaeger_storage', 'jaeger_query', 'healthcheckv2'],
      pipelines: { traces: { receivers: ['otlp'], exporters: ['jaeger_storage_exporter'] } },
      telemetry: { metrics: { level: 'none' } },
    },
    extensions: {
      healthcheckv2: { use_v2: true, http: { endpoint: `127.0.0.1:${health}` } },
      jaeger_query: {
        storage: { traces: 'main' },
        http: { endpoint: `127.0.0.1:${api}` },
        grpc: { endpoint: `127.0.0.1:${grpc}` },
      },
      jaeger_storage: { backends: { main: { memory: { max_traces: 10_000 } } } },
    },
    receivers: { otlp: { protocols: { http: { endpoint: `127.0.0.1:${otlp}` } } } },
    exporters: { jaeger_storage_exporter: { trace_storage: 'main' } },
  });

async function askJaeger(api: string, query: TraceQuery): Promise<StoredSpan[][]> {
  const { service, attributes = {}, name, minDurationMs } = query;
  const now = Date.now() * 1_000;
  const asked = new URLSearchParams({
    service,
    start: String(now - 3_600_000_000),
    end: String(now + 60_000_000),
    limit: '100',
    tags: JSON.stringify(attributes),
    ...(name !== undefined && { operation: name }),
    ...(minDurationMs !== undefined && { minDuration: `${minDurationMs}ms` }),
  });
  const response = await fetch(`${api}/api/traces?${asked.toString()}`);
  const { data } = (await response.json()) as { data: { spans: JaegerSpan[] }[] | null };
  return (data ?? []).map(({ spans }) => spans.map(fromJaeger));
}

interface JaegerSpan {
  traceID: string;
  spanID: string;
  operationName: string;
  /** µs */
  duration: number;
  references: { refType: 'CHILD_OF' | 'FOLLOWS_FROM'; spanID: string }[];
  tags: { key: string; value: unknown }[];
}

function fromJaeger(span: JaegerSpan): StoredSpan {
  const attributes = Object.fromEntries(span.tags.map(({ key, value }) => [key, value]));
  const [parent] = span.references.filter(({ refType }) => refType === 'CHILD_OF').map(({ spanID }) => spanID);
  return {
    traceId: span.traceID,
    spanId: span.spanID,
    parentSpanId: parent,
    name: span.operationName,
    isError: attributes.error === true,
    durationMs: span.duration / 1_000,
    attributes,
    links: span.references.map(({ spanID }) => spanID).filter((id) => id !== parent),
  };
}

async function started(child: ChildProcess, healthUrl: string): Promise<void> {
  onTestFinished(() => void child.kill('SIGKILL'));
  const isHealthy = () =>
    fetch(healthUrl).then(
      ({ ok }) => ok,
      () => false,
    );
  await expect.poll(isHealthy, { timeout: 15_000 }).toBe(true);
}
