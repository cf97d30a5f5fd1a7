import { afterAll, beforeAll, expect, vi } from 'vitest';
import { startTelemetry } from '@callyard/shared/telemetry-start';
import { startOtlpReceiver, type OtlpReceiver, type ReceivedSpan } from '../../packages/cli/src/otlp-receiver.ts';
import { treeOf, wrongKinds } from './trace-notation.ts';
import { play } from './played-model.ts';
import { principal, setup } from './setup.ts';
import { dispatcherProcesses, ended, steady, workerProcesses } from './worker-process.ts';
import type { ServingProcess } from '../../packages/cli/src/processes.ts';

let receiver: OtlpReceiver;

/** Takes the spans of other processes, for all tests of a file; this one traces nothing. */
export function receiveSpans(): void {
  vi.setConfig({ testTimeout: 40_000 }); // each test starts processes, which take long where a machine is busy
  beforeAll(async () => void (receiver = await startOtlpReceiver()));
  afterAll(() => receiver.stop());
}

/** Traces this process, which submits and executes, for all tests of a file: a tracer stays as long as its process. */
export function traceThisFile(): void {
  receiveSpans();
  let stop = async () => {};
  beforeAll(() => {
    const tracing = startTelemetry({ serviceName: 'test', endpoint: receiver.endpoint });
    stop = tracing.shutdown;
  });
  afterAll(() => stop());
}

interface Processes {
  workers?: number;
  dispatchers?: number;
  settings?: Record<string, string>;
  /** those of them that are to be killed are missed soon: one that stands still for a second is as good as dead */
  mortal?: 'workers' | 'dispatchers';
}

/** Workers and dispatchers in processes of their own, each with the real exporter, and a dispatcher here. */
export async function tracedYard({ workers = 1, dispatchers = 1, settings = {}, mortal }: Processes = {}) {
  const yard = await setup();
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint, CALLYARD_UNSERVED_MS: '15000', ...settings };
  const processes: ServingProcess[] = [];
  const lines: string[] = [];
  const watched = (started: ServingProcess[]) => {
    for (const { process: child } of started) child.stdout?.on('data', (chunk: Buffer) => lines.push(String(chunk)));
    processes.push(...started);
    return started;
  };
  const startWorkers = async (count: number, own: Record<string, string> = steady) =>
    watched(await workerProcesses(yard, count, { ...own, ...env }, './trace-tools.ts'));
  const startDispatchers = async (count: number, own: Record<string, string> = steady) =>
    watched(await dispatcherProcesses(yard, count, { ...own, ...env }));
  const [serving, driving] = await Promise.all([
    startWorkers(workers, mortal === 'workers' ? {} : steady),
    startDispatchers(dispatchers, mortal === 'dispatchers' ? {} : steady),
  ]);
  const dispatcher = await yard.dispatcher({ unservedMs: 15_000 });
  await dispatcher.waitForTools(['nap', 'metered', 'brittle']);
  const submit = async (...turns: Parameters<typeof play>) => {
    const { runId } = await dispatcher.submit({ messages: play(...turns), principal, model: 'played' });
    return { runId, traceId: (await dispatcher.show(runId, principal)).traceId ?? '' };
  };
  /** Has the call of `held_first` end that is the only one of a run, once a second dispatcher waits for it. */
  const letGo = async (runId: string, traceId: string) => {
    const sent = () => spansOf(traceId).filter(({ name }) => name === 'send calls');
    await expect.poll(sent, { timeout: 10_000 }).toHaveLength(2);
    await yard.redis.rpush(`${yard.names.tag}:starts:${runId}.0.0:let-go`, 'go');
  };
  /** Has the processes send what is left, and end. */
  const stop = async () => {
    for (const { process: child } of processes) child.kill('SIGTERM');
    await Promise.all(processes.map(ended));
  };
  const logs = () => lines.join('') + JSON.stringify(yard.logged);
  return { yard, receiver, serving, driving, dispatcher, submit, startWorkers, startDispatchers, letGo, stop, logs };
}

/** Resolves when the spans received satisfy the predicate. */
export const receivedSpans = (predicate: () => boolean): Promise<void> => receiver.until(predicate);

export const spansOf = (traceId: string): ReceivedSpan[] => receiver.spans.filter((span) => span.traceId === traceId);

/**
 * Resolves once the spans of a trace are these, see trace-notation.ts, of the kinds that the table says. The processes
 * have ended by then, so no more will come.
 */
export async function expectTree(
  { stop }: { stop: () => Promise<void> },
  traceId: string,
  lines: readonly string[],
): Promise<ReceivedSpan[]> {
  await stop();
  const tree = () => treeOf(spansOf(traceId), receiver.spans);
  await expect.poll(tree, { timeout: 10_000 }).toEqual(lines);
  const spans = spansOf(traceId);
  expect(wrongKinds(spans)).toEqual([]);
  return spans;
}

export async function kill(one: ServingProcess): Promise<void> {
  one.process.kill('SIGKILL');
  await ended(one);
}
