import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { gunzipSync } from 'node:zlib';

/** A span as it was exported, attributes as a plain object. */
export interface ReceivedSpan {
  traceId: string;
  spanId: string;
  parentSpanId: string | undefined;
  name: string;
  kind: 'INTERNAL' | 'SERVER' | 'CLIENT' | 'PRODUCER' | 'CONSUMER';
  /** milliseconds since 1970 */
  startMs: number;
  durationMs: number;
  status: 'UNSET' | 'OK' | 'ERROR';
  attributes: Record<string, unknown>;
  events: { name: string; attributes: Record<string, unknown> }[];
  links: { traceId: string; spanId: string }[];
  service: string;
}

/** Takes spans over OTLP/HTTP in JSON: for the demo, and for tests of what really leaves a process. */
export interface OtlpReceiver {
  /** what `OTEL_EXPORTER_OTLP_ENDPOINT` is to be */
  endpoint: string;
  spans: readonly ReceivedSpan[];
  /** everything received, as text */
  raw(): string;
  /** resolves when the spans satisfy the predicate, at each arrival */
  until(predicate: (spans: readonly ReceivedSpan[]) => boolean): Promise<void>;
  stop(): void;
}

export async function startOtlpReceiver(): Promise<OtlpReceiver> {
  const spans: ReceivedSpan[] = [];
  const bodies: string[] = [];
  const waiting = new Set<() => void>();
  const server = createServer((request, response) => {
    if (!request.headers['content-type']?.includes('json')) {
      response.writeHead(415).end('only OTLP in JSON is taken; set OTEL_EXPORTER_OTLP_PROTOCOL=http/json');
      return;
    }
    readBody(request)
      .then((body) => {
        spans.push(...parseSpans(JSON.parse(body) as ExportRequest));
        bodies.push(body);
        response.setHeader('content-type', 'application/json').end('{}');
      })
      .catch((error: Error) => response.writeHead(400).end(`not OTLP in JSON: ${error.message}`))
      .finally(() => waiting.forEach((check) => check()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    endpoint: `http://127.0.0.1:${port}`,
    spans,
    raw: () => bodies.join('\n'),
    until: (predicate) =>
      new Promise((resolve) => {
        const check = () => {
          if (!predicate(spans)) return;
          waiting.delete(check);
          resolve();
        };
        waiting.add(check);
        check();
      }),
    stop() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const body = await buffer(request);
  return (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString();
}

interface ExportRequest {
  resourceSpans?: { resource?: { attributes?: KeyValue[] }; scopeSpans?: { spans?: OtlpSpan[] }[] }[];
}
interface KeyValue {
  key: string;
  value: Record<string, unknown>;
}
interface OtlpSpan {
  traceId: string;
  spanId: string;
  parentSpanId?: string;
  name: string;
  kind: number;
  startTimeUnixNano: string;
  endTimeUnixNano: string;
  status?: { code?: number };
  attributes?: KeyValue[];
  events?: { name: string; attributes?: KeyValue[] }[];
  links?: { traceId: string; spanId: string }[];
}

const kinds = ['INTERNAL', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'] as const;
const statuses = ['UNSET', 'OK', 'ERROR'] as const;

function parseSpans({ resourceSpans = [] }: ExportRequest): ReceivedSpan[] {
  return resourceSpans.flatMap(({ resource, scopeSpans = [] }) => {
    const service = String(plain(resource?.attributes)['service.name']);
    return scopeSpans.flatMap(({ spans = [] }) => spans.map((span) => parseSpan(span, service)));
  });
}

function parseSpan(span: OtlpSpan, service: string): ReceivedSpan {
  const start = BigInt(span.startTimeUnixNano);
  return {
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId || undefined,
    name: span.name,
    kind: kinds[span.kind] ?? 'INTERNAL',
    startMs: Number(start / 1_000n) / 1_000,
    durationMs: Number((BigInt(span.endTimeUnixNano) - start) / 1_000n) / 1_000,
    status: statuses[span.status?.code ?? 0] ?? 'UNSET',
    attributes: plain(span.attributes),
    events: (span.events ?? []).map(({ name, attributes }) => ({ name, attributes: plain(attributes) })),
    links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
    service,
  };
}

const plain = (attributes: KeyValue[] = []): Record<string, unknown> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, valueOf(value)]));

/** OTLP wraps every value in its type; integers come as text. */
function valueOf(wrapped: Record<string, unknown>): unknown {
  if ('intValue' in wrapped) return Number(wrapped.intValue);
  if ('arrayValue' in wrapped) {
    const { values = [] } = wrapped.arrayValue as { values?: Record<string, unknown>[] };
    return values.map(valueOf);
  }
  return Object.values(wrapped)[0];
}
