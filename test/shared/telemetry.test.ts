import { trace } from '@opentelemetry/api';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOutcome } from '@callyard/shared/call';
import {
  activeTraceId,
  configureTelemetry,
  inAgentSpan,
  inCallsSpan,
  inSubmitSpan,
  inProcessSpan,
  inToolSpan,
  startSendSpan,
  tellApproval,
  tellGathered,
  tellLostHolds,
  tellRefused,
} from '@callyard/shared/telemetry';
import { attributes, spanEvents, spans as spanTable, type SpanEvent } from '@callyard/shared/telemetry-names';
import { envelope, exporter, finished, keepSpans, off, only, pickUp, run, usage, wholeRun } from '../support/spans.ts';

beforeEach(() => {
  exporter.reset();
  configureTelemetry(off);
});

// First, as nothing can take a registered SDK away again.
describe('without an SDK', () => {
  it('work runs, nothing travels with the job and there is no trace id', async () => {
    const sent = startSendSpan(envelope);
    expect(sent.carrier).toBeUndefined();
    const id = await inProcessSpan(pickUp(), async () =>
      inToolSpan({ envelope, tool: 'nap', args: {} }, async () => activeTraceId()),
    );
    expect(id).toBeUndefined();
  });
});

describe('with an SDK', () => {
  beforeAll(keepSpans);

  it('a run is one branch from its agent to the handler', async () => {
    await wholeRun();
    const [chat, send, tool, process, agent] = finished();
    expect([agent, chat, send, process, tool].map((span) => [span?.name, span?.kind, span?.parentSpanId])).toEqual([
      ['invoke_agent callyard', 'INTERNAL', undefined],
      ['chat gpt-x', 'CLIENT', agent?.spanId],
      ['send calls', 'PRODUCER', agent?.spanId],
      ['process calls', 'CONSUMER', send?.spanId],
      ['execute_tool nap', 'INTERNAL', process?.spanId],
    ]);
    expect(process?.links).toEqual([]);
    expect(finished().every(({ status, traceId }) => status === 'UNSET' && traceId === agent?.traceId)).toBe(true);
  });

  it('an agent span says whose run it was and what it cost', async () => {
    await wholeRun();
    expect(finished().at(-1)?.attributes).toEqual({
      'gen_ai.operation.name': 'invoke_agent',
      'gen_ai.agent.name': 'callyard',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-x',
      'gen_ai.conversation.id': 'conversation-7',
      'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 3,
      'callyard.run.id': 'r1',
      'callyard.run.state': 'completed',
      'callyard.run.stop': 'answer',
    });
  });

  it('a chat span says what was asked and who answered, in the words of dashboards', async () => {
    await wholeRun();
    expect(finished()[0]?.attributes).toEqual({
      'gen_ai.operation.name': 'chat',
      'gen_ai.provider.name': 'openai',
      'gen_ai.request.model': 'gpt-x',
      'gen_ai.conversation.id': 'conversation-7',
      'gen_ai.response.id': 'a1',
      'gen_ai.response.model': 'gpt-x-1',
      'gen_ai.response.finish_reasons': ['tool_calls'],
      'gen_ai.usage.input_tokens': 12,
      'gen_ai.usage.output_tokens': 3,
      'callyard.run.id': 'r1',
    });
  });

  it('the spans of a call carry its job, its queue and the worker', async () => {
    await wholeRun();
    const [, send, tool, process] = finished();
    const call = {
      'messaging.system.name': 'bullmq',
      'messaging.message.id': 'r1.0.2',
      'messaging.destination.name': 'calls-3f9ac2d1',
      'gen_ai.tool.name': 'nap',
      'gen_ai.tool.call.id': 'call_9',
      'gen_ai.conversation.id': 'conversation-7',
      'callyard.run.id': 'r1',
    };
    expect(send?.attributes).toEqual({
      ...call,
      'messaging.operation.name': 'send',
      'messaging.operation.type': 'send',
    });
    expect(process?.attributes).toEqual({
      ...call,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.client.id': 'w1',
      'callyard.attempt': 2,
      'callyard.lost': 1,
      'callyard.class': 'interactive',
      'callyard.wait.reason': 'retry',
      'callyard.wait.ms': 40,
      'callyard.outcome': 'completed',
    });
    expect(tool?.attributes).toEqual({
      'gen_ai.operation.name': 'execute_tool',
      'gen_ai.tool.name': 'nap',
      'gen_ai.tool.type': 'function',
      'gen_ai.tool.call.id': 'call_9',
      'gen_ai.conversation.id': 'conversation-7',
      'messaging.message.id': 'r1.0.2',
      'callyard.run.id': 'r1',
    });
  });

  it('what the tables name is what spans carry, and nothing else', async () => {
    configureTelemetry({ ...off, userHashSecret: 's', captureContent: true });
    await wholeRun();
    const { principal } = envelope;
    await inCallsSpan({ runId: 'r2', conversationId: undefined, principal }, async () => {});
    await inSubmitSpan({ runId: 'r3', conversationId: undefined, principal }, async () => {});
    await inProcessSpan(pickUp(), async (describePickUp) => {
      describePickUp({ outcome: 'failed', error: { code: 'timeout', message: 'late' } });
    });
    await inProcessSpan(pickUp(), async (describePickUp) => {
      describePickUp({ outcome: 'completed', degraded: { why: 'timeout', by: 'tool' } });
    });
    const bucket = { bucket: 'r:1', per: 'user' };
    const waited = pickUp({
      lane: 'p:i:u:l',
      ended: [
        { reason: 'rate', ms: 3, ...bucket },
        { reason: 'queue', ms: 0 },
      ],
    });
    await inProcessSpan(waited, async () => {
      tellApproval('asked');
      tellApproval({ approved: true, owner: 'acme', userId: 'eve' });
    });
    tellRefused(envelope, failureOutcome({ code: 'unknown_tool', message: 'no such tool' }));
    const carrier = startSendSpan(envelope).carrier;
    const hold = { carrier, fence: '2', began: 'taken-over', lost: [{ fence: '1', heldAt: 1, aliveAt: 2 }], now: 3 };
    tellLostHolds({ ...run, principal }, hold);
    await inAgentSpan({ ...run, hold }, async (describeRun) => {
      tellGathered(run, { since: 1, calls: 2, missing: 1, slowest: 'r1.0.0' });
      describeRun({ state: 'completed', stop: 'answer', usage });
    });
    const events = finished().flatMap((span) => span.events);
    for (const [name, given] of events.filter(([event]) => event !== 'exception'))
      expect(spanEvents[name as SpanEvent].attributes).toEqual(expect.arrayContaining(Object.keys(given ?? {})));
    expect(new Set(events.map(([name]) => name))).toEqual(new Set([...Object.keys(spanEvents), 'exception']));
    const onEvents = events.flatMap(([name, given]) => (name === 'exception' ? [] : Object.keys(given ?? {})));
    const used = new Set([...onEvents, ...finished().flatMap((span) => Object.keys(span.attributes))]);
    expect([...used].toSorted()).toEqual(Object.keys(attributes).toSorted());
    const named = Object.values(spanTable).map(({ name, kind }) => `${name} ${kind}`);
    const seen = finished().map(({ name, kind }) =>
      `${name} ${kind}`.replace('gpt-x', '{model}').replace('nap', '{tool}'),
    );
    expect([...new Set(seen)].toSorted()).toEqual(named.toSorted());
  });

  it('a call without a conversation or an id of the provider has neither made up', async () => {
    const { conversationId: _none, ...bare } = envelope;
    const nameless = { ...bare, call: { ...envelope.call, id: '' } };
    startSendSpan(nameless).end('calls-3f9ac2d1');
    await inToolSpan({ envelope: nameless, tool: 'nap', args: {} }, async () => 1);
    const named = finished().map(({ attributes: given }) => [
      given['gen_ai.conversation.id'],
      given['gen_ai.tool.call.id'],
    ]);
    expect(named).toEqual([
      [undefined, undefined],
      [undefined, undefined],
    ]);
  });

  it('a call older than 15 minutes begins a new trace with a link', async () => {
    const { carrier: metadata, ...sent } = startSendSpan(envelope);
    sent.end('calls-3f9ac2d1');
    await inProcessSpan(pickUp({ metadata, ageMs: 15 * 60_000 }), async () => {});
    await inProcessSpan(pickUp({ metadata, ageMs: 15 * 60_000 + 1 }), async () => {});
    const [send, young, old] = finished();
    expect(young).toMatchObject({ traceId: send?.traceId, parentSpanId: send?.spanId, links: [] });
    expect(old).toMatchObject({ parentSpanId: undefined, links: [send?.spanId] });
    expect(old?.traceId).not.toBe(send?.traceId);
  });

  it('a pick-up does not join the trace its worker happens to be in', async () => {
    await trace.getTracer('test').startActiveSpan('around', async (around) => {
      await inProcessSpan(pickUp(), async () => {});
      around.end();
    });
    expect(finished()[0]?.parentSpanId).toBeUndefined();
  });

  it.each([
    ['nothing', undefined],
    ['an empty text', ''],
    ['torn JSON', '{"traceparent":'],
    ['null', 'null'],
    ['a list', '[1]'],
    ['a number', '{"traceparent":7}'],
    ['ids of zeros', `{"traceparent":"00-${'0'.repeat(32)}-${'0'.repeat(16)}-01"}`],
    ['baggage that is no text', '{"baggage":{"a":1}}'],
    ['__proto__', '{"__proto__":{"traceparent":"00-11111111111111111111111111111111-2222222222222222-01"}}'],
  ])('takes %s that came with a job for no context', async (_what, metadata) => {
    await inProcessSpan(pickUp({ metadata }), async () => {});
    expect(only()).toMatchObject({ parentSpanId: undefined, links: [] });
  });

  it('an unsampled trace stays unsampled across the queue and still has an id', async () => {
    const traceId = '1'.repeat(32);
    const metadata = JSON.stringify({ traceparent: `00-${traceId}-${'2'.repeat(16)}-00` });
    const [id, carrier] = await inProcessSpan(pickUp({ metadata }), async () => [
      activeTraceId(),
      startSendSpan(envelope).carrier,
    ]);
    expect(id).toBe(traceId);
    expect(JSON.parse(carrier ?? '')).toEqual({
      traceparent: expect.stringMatching(`^00-${traceId}-[0-9a-f]{16}-00$`),
    });
    expect(finished()).toEqual([]);
  });
});
