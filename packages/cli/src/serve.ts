import { createDispatcher, type Model } from '@callyard/dispatcher';
import type { DispatcherConfig, WorkerConfig } from '@callyard/shared/config';
import { createWorker, type Tool } from '@callyard/worker';
import { processLog } from './process-log.ts';
import { startStatusServer, type StatusOptions, type StatusServer } from './status-server.ts';
import { startObserving, type Observed } from './telemetry.ts';

/** What a process exits with when its handlers are stuck: a supervisor is to start it anew. */
const stuckExitCode = 75;

/** Told to the process that started this one, once it serves. */
export interface ServingMessage {
  /** of the worker or the dispatcher */
  id: string;
}

/** Runs a worker as the whole of this process: until a signal, or until its parent is gone. */
export async function serve(config: WorkerConfig, tools: readonly Tool[]): Promise<void> {
  const observed = await startObserving('callyard-worker', config, true);
  const log = processLog('callyard-worker', config);
  const worker = await createWorker({ ...config, tools, log });
  const status = await startStatus(observed, { ...config, ...worker, log });
  void stopAsked().then(() => worker.close());
  tellParent(worker);
  const reason = await worker.stopped;
  status?.stop();
  await observed.shutdown();
  // Handlers that ignore their abort would keep the process alive.
  process.exit(reason === 'stuck' ? stuckExitCode : 0);
}

/** Runs a dispatcher that drives durable runs as the whole of this process, as `serve` does a worker. */
export async function serveRuns(config: DispatcherConfig, models: readonly Model[]): Promise<void> {
  const observed = await startObserving('callyard-dispatcher', config, true);
  const log = processLog('callyard-dispatcher', config);
  const dispatcher = await createDispatcher({ ...config, models, log });
  const status = await startStatus(observed, { ...config, ...dispatcher, log });
  const asked = stopAsked();
  tellParent(dispatcher);
  await asked;
  await dispatcher.close();
  status?.stop();
  await observed.shutdown();
  // Models that ignore their abort would keep the process alive.
  process.exit(0);
}

/** Where no metrics are collected nobody is to be asked, and no port is taken. */
export async function startStatus(
  { show }: Observed,
  options: Omit<StatusOptions, 'show'>,
): Promise<StatusServer | undefined> {
  if (!show || options.metricsPort === 0) return undefined;
  return startStatusServer({ ...options, show });
}

function tellParent({ id }: ServingMessage): void {
  if (process.connected) process.send?.({ id } satisfies ServingMessage);
}

function stopAsked(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const stop = () => resolve();
  process.once('SIGTERM', stop).once('SIGINT', stop).once('disconnect', stop);
  // The parent may have gone while this process was starting, and the event with it.
  if (process.send && !process.connected) stop();
  return promise;
}
