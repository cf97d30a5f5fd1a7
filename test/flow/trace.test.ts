import { describe, expect, it, onTestFinished } from 'vitest';
import { startTelemetry } from '@callyard/shared/telemetry-start';
import { startOtlpReceiver, type ReceivedSpan } from '../../packages/cli/src/otlp-receiver.ts';
import { modelSaying, principal, proposes, says, setup, toolCall } from '../support/setup.ts';
import { ended, steady, workerProcesses } from '../support/worker-process.ts';

const canary = 'canary-5f0e1c';

/** One conversation across processes, traced by the real exporter of each. */
async function tracedRun() {
  const yard = await setup();
  const receiver = await startOtlpReceiver();
  onTestFinished(receiver.stop);
  const tracing = startTelemetry({ serviceName: 'test-dispatcher', endpoint: receiver.endpoint });
  const workers = await workerProcesses(yard, 2, { ...steady, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint });
  const dispatcher = await yard.dispatcher({ unservedMs: 15_000 });
  const calls = [toolCall('stumble', { secret: canary }), toolCall('nap', { ms: 5 }), toolCall('nap', { ms: 'no' })];
  const model = modelSaying(proposes(...calls), says(`The secret is ${canary}.`));
  const messages = [{ role: 'user', content: `Keep ${canary} to yourself.` }] as const;
  const result = await dispatcher.run({ messages, principal, model, conversationId: 'conversation-7' });
  for (const worker of workers) worker.process.kill('SIGTERM');
  await Promise.all(workers.map(ended));
  await tracing.shutdown();
  return { result, receiver, calls, yard };
}

describe('a trace', () => {
  it('shows the whole way of a conversation across processes', async () => {
    const { result, receiver, calls, yard } = await tracedRun();
    const { spans } = receiver;
    const named = (name: string): ReceivedSpan[] => spans.filter((span) => span.name === name);
    const below = ({ spanId }: ReceivedSpan): ReceivedSpan[] =>
      spans.filter(({ parentSpanId }) => parentSpanId === spanId).toSorted((a, b) => a.startMs - b.startMs);

    const [agent] = named('invoke_agent callyard') as [ReceivedSpan];
    expect(spans.every(({ traceId }) => traceId === result.traceId)).toBe(true);
    expect(agent).toMatchObject({
      kind: 'INTERNAL',
      status: 'UNSET',
      parentSpanId: undefined,
      service: 'test-dispatcher',
    });
    expect(below(agent).map(({ name, kind }) => [name, kind])).toEqual([
      ['chat scripted', 'CLIENT'],
      ['send calls', 'PRODUCER'],
      ['send calls', 'PRODUCER'],
      ['send calls', 'PRODUCER'],
      ['gather calls', 'INTERNAL'],
      ['chat scripted', 'CLIENT'],
    ]);

    const sent = named('send calls').find((span) => span.attributes['gen_ai.tool.name'] === 'stumble') as ReceivedSpan;
    const [first, second, ...more] = below(sent) as [ReceivedSpan, ReceivedSpan];
    expect(more).toEqual([]);
    expect(first).toMatchObject({
      name: 'process calls',
      kind: 'CONSUMER',
      status: 'ERROR',
      service: 'callyard-worker',
      links: [],
      attributes: {
        'messaging.system.name': 'bullmq',
        'messaging.message.id': result.outcomes[0]?.key,
        'gen_ai.tool.call.id': calls[0]?.id,
        'gen_ai.conversation.id': 'conversation-7',
        'callyard.attempt': 1,
        'callyard.outcome': 'retry',
        'error.type': 'tool_error',
      },
    });
    // For a slot, and for a moment before it where the worker has just come.
    const [exception, ...waits] = first.events.map(({ name }) => name).toReversed();
    expect([exception, ...new Set(waits)]).toEqual(['exception', 'callyard.wait']);
    expect(second).toMatchObject({
      status: 'UNSET',
      attributes: { 'callyard.attempt': 2, 'callyard.outcome': 'completed', 'callyard.wait.reason': 'retry' },
    });
    expect(below(first)).toMatchObject([{ name: 'execute_tool stumble', kind: 'INTERNAL', status: 'ERROR' }]);
    expect(below(second)).toMatchObject([{ name: 'execute_tool stumble', status: 'UNSET' }]);

    const refused = spans.find(({ attributes }) => attributes['callyard.outcome'] === 'refused') as ReceivedSpan;
    expect(refused).toMatchObject({ status: 'UNSET', attributes: { 'error.type': 'invalid_arguments' } });
    expect(below(refused)).toEqual([]);
    expect(spans.every(({ attributes }) => attributes['gen_ai.conversation.id'] === 'conversation-7')).toBe(true);
    expect(
      named('process calls').every(({ attributes }) =>
        String(attributes['messaging.destination.name']).startsWith('calls-'),
      ),
    ).toBe(true);

    expect(result.outcomes.every(({ traceId }) => traceId === result.traceId)).toBe(true);
    expect(receiver.raw()).not.toContain(canary);
    expect(receiver.raw()).not.toContain(principal.userId + '"');
    expect(JSON.stringify(yard.logged)).not.toContain(canary);
  });

  it('never holds a process up when its collector is gone', async () => {
    const yard = await setup();
    const receiver = await startOtlpReceiver();
    receiver.stop();
    await workerProcesses(yard, 1, { ...steady, OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint });
    const dispatcher = await yard.dispatcher({ unservedMs: 15_000 });
    const { outcomes } = await dispatcher.execute([toolCall('nap', { ms: 1 })], { principal });
    expect(outcomes[0]?.status).toBe('completed');
  });
});
