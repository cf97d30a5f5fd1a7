import { NodeSDK } from '@opentelemetry/sdk-node';
import { InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace';
import { expect } from 'vitest';
import type { Envelope } from '@callyard/shared/call';
import { createRedactor } from '@callyard/shared/redact';
import {
  inAgentSpan,
  inChatSpan,
  inProcessSpan,
  inToolSpan,
  startSendSpan,
  type PickUp,
} from '@callyard/shared/telemetry';

/* Spans kept in the memory of the test's process, and a run of one call to make some. */

export function keepSpans(): void {
  const spanProcessors = [new SimpleSpanProcessor({ exporter })];
  new NodeSDK({ spanProcessors, metricReaders: [], logRecordProcessors: [], resourceDetectors: [] }).start();
}

export const exporter = new InMemorySpanExporter();
const kinds = ['INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'] as const;
const statuses = ['UNSET', 'OK', 'ERROR'] as const;

/** What was exported, oldest end first. */
export const finished = () =>
  exporter.getFinishedSpans().map((span) => ({
    name: span.name,
    kind: kinds[span.kind],
    status: statuses[span.status.code],
    traceId: span.spanContext().traceId,
    spanId: span.spanContext().spanId,
    parentSpanId: span.parentSpanContext?.spanId,
    attributes: span.attributes,
    events: span.events.map((event) => [event.name, event.attributes]),
    links: span.links.map(({ context }) => context.spanId),
  }));

export const only = () => {
  const [span, ...more] = finished();
  expect(more).toEqual([]);
  if (!span) throw new Error('no span was exported');
  return span;
};

/** A card number, which is redacted wherever content is captured. */
export const canary = '4111 1111 1111 1111';
export const principal = { owner: 'acme', userId: 'mia', roles: [], permissions: [] };
export const envelope: Envelope = {
  v: 1,
  key: 'r1.0.2',
  of: 3,
  runId: 'r1',
  turn: 0,
  index: 2,
  conversationId: 'conversation-7',
  owner: 'acme',
  principal,
  call: { id: 'call_9', name: 'nap', arguments: `{"card":"${canary}"}` },
  tool: { name: 'nap', version: '1.0.0', range: '^1.0.0', schemaHash: 'h' },
  class: 'interactive',
  limits: [],
  idempotencyKey: 'r1.0.2',
  deadlineAt: 1,
  replyTo: 'd1',
  enqueuedAt: 1,
};
export const pickUp = (more: Partial<PickUp> = {}): PickUp => ({
  envelope,
  queue: 'calls-3f9ac2d1',
  worker: 'w1',
  attempt: 2,
  lost: 1,
  ended: [{ reason: 'retry', ms: 40 }],
  lane: undefined,
  ageMs: 50,
  metadata: undefined,
  ...more,
});
export const run = { runId: 'r1', conversationId: 'conversation-7', model: 'gpt-x', provider: 'openai', principal };
export const usage = { inputTokens: 12, outputTokens: 3 };

/** What a process says of users and content without settings. */
export const off = { userHashSecret: '', captureContent: false, redact: createRedactor() };

/** A run of one call, up to the handler. */
export const wholeRun = () =>
  inAgentSpan(run, async (describeRun) => {
    await inChatSpan(run, async (describeAnswer) =>
      describeAnswer({ id: 'a1', model: 'gpt-x-1', stop: 'calls', usage }),
    );
    const sent = startSendSpan(envelope);
    sent.end('calls-3f9ac2d1');
    await inProcessSpan(pickUp({ metadata: sent.carrier }), async (describePickUp) => {
      await inToolSpan({ envelope, tool: 'nap', args: { card: canary } }, async () => ({ slept: 5, password: canary }));
      describePickUp({ outcome: 'completed' });
    });
    describeRun({ state: 'completed', stop: 'answer', usage });
  });
