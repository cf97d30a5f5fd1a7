import type { Envelope } from '@callyard/shared/call';
import { followControl } from '@callyard/shared/control';
import type { Names } from '@callyard/shared/names';
import { answersOf, type Redis } from '@callyard/shared/redis';
import type { Logger } from 'pino';
import type { HeldJobs } from './held-jobs.ts';
import type { Telling } from './telling.ts';

export interface UnwantedOptions {
  held: Pick<HeldJobs, 'calls' | 'cancel' | 'cancelRun'>;
  redis: Redis;
  /** the worker's connection that only listens */
  subscriber: Redis;
  names: Names;
  telling: Pick<Telling, 'watch'>;
  /** an operator has this worker stop, or another one */
  onDrain: (worker: string, by: string) => void;
  log: Logger;
}

export interface Unwanted {
  /** Looks which of these jobs are wanted no more; to be called as their locks are renewed. */
  look(keys?: readonly string[]): void;
}

/**
 * Aborts calls that nobody waits for any more: at once when the worker is told, and should that be lost, when the locks
 * are renewed, which is at the latest after `lockMs` / 2.
 */
export async function watchUnwanted({
  held,
  redis,
  subscriber,
  names,
  telling,
  onDrain,
  log,
}: UnwantedOptions): Promise<Unwanted> {
  const look = (keys?: readonly string[]): void => {
    findUnwanted(redis, names, held.calls(keys)).then(held.cancel, (error: unknown) =>
      log.warn({ event: 'call.unwanted_unread', err: error }, 'it could not be asked which calls are still wanted'),
    );
  };
  await followControl(subscriber, names, { cancel: held.cancelRun, watch: telling.watch, drain: onDrain });
  subscriber.on('ready', () => look()); // what was said while the connection was down was said to nobody
  return { look };
}

/** Those that somebody has settled, or whose durable run is cancelled. */
async function findUnwanted(redis: Redis, names: Names, calls: readonly Envelope[]): Promise<string[]> {
  if (calls.length === 0) return [];
  const runs = [...new Set(calls.filter(({ durable }) => durable).map(({ runId }) => runId))];
  const pipeline = redis.pipeline();
  for (const { key } of calls) pipeline.exists(names.outcome(key));
  for (const runId of runs) pipeline.hexists(names.run(runId), 'cancelledAt');
  const answers = (await answersOf(pipeline)).map((answer) => answer === 1);
  const cancelled = new Set(runs.filter((_, i) => answers[calls.length + i]));
  return calls.filter(({ runId }, i) => answers[i] || cancelled.has(runId)).map(({ key }) => key);
}
