import { describe, expect, it } from 'vitest';
import type { RunView, ToolCall } from '@callyard/dispatcher';
import { play } from '../support/played-model.ts';
import { principal, proposes, says, setup, toolCall } from '../support/setup.ts';
import {
  hasJaeger,
  startDevtools,
  startJaeger,
  type TraceBackend,
  type TraceQuery,
} from '../support/trace-backends.ts';
import { dispatcherProcesses, ended, steady, workerProcesses } from '../support/worker-process.ts';

/* Jaeger has to be brought: `go build ./cmd/jaeger` in its module, and the binary on the PATH. */
const backends = [
  { name: 'autotel-devtools', start: startDevtools, isThere: true },
  { name: 'Jaeger', start: startJaeger, isThere: hasJaeger },
];

const service = 'callyard-worker';
const { owner } = principal;

/** A run with a call that is tried again, a slow one and a quick one, and a run whose call is refused. */
async function tracedRuns({ endpoint }: TraceBackend) {
  const yard = await setup();
  const settings = { ...steady, OTEL_EXPORTER_OTLP_ENDPOINT: endpoint };
  const fleet = [...(await workerProcesses(yard, 2, settings)), ...(await dispatcherProcesses(yard, 1, settings))];
  const dispatcher = await yard.dispatcher();
  await dispatcher.waitForTools(['nap']);
  const conversationId = `conversation-${yard.prefix}`;
  const run = async (...calls: ToolCall[]): Promise<RunView> => {
    const messages = play(proposes(...calls), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal, model: 'played', conversationId });
    return dispatcher.wait(runId, { owner });
  };
  const good = await run(toolCall('stumble'), toolCall('nap', { ms: 400 }), toolCall('nap', { ms: 1 }));
  const bad = await run(toolCall('nap', { ms: 'no' }));
  for (const { process: child } of fleet) child.kill('SIGTERM');
  await Promise.all(fleet.map(ended));
  return { good, bad, conversationId };
}

/** Resolves once a backend finds these traces: it has taken the spans of processes that have ended, and stores them. */
async function expectFound(backend: TraceBackend, query: Omit<TraceQuery, 'service'>, traces: (string | undefined)[]) {
  const ask = async () => (await backend.find({ service, ...query })).map(([span]) => span?.traceId);
  const sorted = (ids: (string | undefined)[]) => ids.map(String).toSorted((a, b) => a.localeCompare(b));
  await expect.poll(async () => sorted(await ask()), { timeout: 10_000 }).toEqual(sorted(traces));
}

describe.for(backends)('traces in $name', ({ start, isThere }) => {
  it.skipIf(!isThere)('are found by job, conversation, run, error and slow tool', { timeout: 40_000 }, async () => {
    const backend = await start();
    const { good, bad, conversationId } = await tracedRuns(backend);
    const [stumbled, slow] = good.outcomes;
    const [refused] = bad.outcomes;
    const traceOfGood = slow?.traceId;
    const traceOfBad = refused?.traceId;

    const expectBy = (attributes: Record<string, string>, ...traces: (string | undefined)[]) =>
      expectFound(backend, { attributes }, traces);
    await expectBy({ 'messaging.message.id': slow?.key ?? '' }, traceOfGood);
    await expectBy({ 'callyard.run.id': bad.runId }, traceOfBad);
    await expectBy({ 'error.type': 'invalid_arguments' }, traceOfBad);
    await expectBy({ 'gen_ai.conversation.id': conversationId }, traceOfGood, traceOfBad);
    await expectBy({ 'error.type': 'tool_error' }, traceOfGood);
    await expectFound(backend, { name: 'execute_tool nap', minDurationMs: 350 }, [traceOfGood]);

    const [trace = []] = await backend.find({ service, attributes: { 'messaging.message.id': stumbled?.key ?? '' } });
    const known = new Set(trace.map(({ spanId }) => spanId));
    const roots = trace.filter(({ parentSpanId }) => parentSpanId === undefined);
    expect(roots.map(({ name }) => name)).toEqual(['invoke_agent callyard']);
    expect(trace.every(({ parentSpanId }) => parentSpanId === undefined || known.has(parentSpanId))).toBe(true);
    const attempts = trace.filter(({ name }) => name === 'execute_tool stumble');
    expect(attempts.filter(({ isError }) => isError)).toHaveLength(1);
    expect(attempts).toHaveLength(2);
  });
});
