import type { WorkerConfig } from '@callyard/shared/config';
import { createWorker, type Tool } from '@callyard/worker';
import { startTracing } from './telemetry.ts';

/** What a process exits with when its handlers are stuck: a supervisor is to start it anew. */
const stuckExitCode = 75;

/** Told to the process that started this one, once it serves. */
export interface ServingMessage {
  worker: string;
}

/** Runs a worker as the whole of this process: until a signal, or until its parent is gone. */
export async function serve(config: WorkerConfig, tools: readonly Tool[]): Promise<void> {
  const tracing = startTracing('callyard-worker', config);
  const worker = await createWorker({ ...config, tools });
  process.send?.({ worker: worker.id } satisfies ServingMessage);
  const stop = () => void worker.close();
  process.once('SIGTERM', stop).once('SIGINT', stop).once('disconnect', stop);
  const reason = await worker.stopped;
  await tracing.shutdown();
  // Handlers that ignore their abort would keep the process alive.
  process.exit(reason === 'stuck' ? stuckExitCode : 0);
}
