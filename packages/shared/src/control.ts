import type { Names } from './names.ts';
import { readMessage, type Redis } from './redis.ts';

/**
 * What workers are told of calls they run. It may be lost: whoever says it has also written it where workers look when
 * they renew their locks. A message is known by its keys, and one that is not known is of a newer version.
 */
export interface ControlMessage {
  /** the run whose calls are to end as cancelled */
  cancel?: string;
  /** those enqueued until then, ms on the clock of Redis, as a caller's key may be used again; default all */
  until?: number;
  /** the durable run whose events somebody began to read */
  watch?: string;
  /** the worker that is to stop as on SIGTERM */
  drain?: string;
  /** who asks for that */
  by?: string;
}

/** The side of whoever gives orders. */
export interface Control {
  /** Has workers abort the calls of a run; see `ControlMessage.until`. */
  cancel(runId: string, until?: number): Promise<void>;
  /** Asks a worker to stop; to be repeated until it has left the catalog. */
  drain(worker: string, by: string): Promise<void>;
}

export function createControl(redis: Redis, names: Names): Control {
  const say = async (message: ControlMessage): Promise<void> => {
    await redis.publish(names.controlChannel, JSON.stringify(message));
  };
  return {
    cancel: (runId, until) => say({ cancel: runId, ...(until !== undefined && { until }) }),
    drain: (worker, by) => say({ drain: worker, by }),
  };
}

/** The side of a worker. */
export interface ControlHandlers {
  cancel(runId: string, until: number): void;
  watch(runId: string): void;
  drain(worker: string, by: string): void;
}

/** Subscribes to what workers are told; returns when nothing will be missed but by a lost connection. */
export async function followControl(
  subscriber: Redis,
  names: Names,
  { cancel, watch, drain }: ControlHandlers,
): Promise<void> {
  subscriber.on('message', (channel: string, text: string) => {
    if (channel !== names.controlChannel) return;
    const message = Object(readMessage(text)) as ControlMessage;
    if (typeof message.cancel === 'string') cancel(message.cancel, message.until ?? Number.POSITIVE_INFINITY);
    if (typeof message.watch === 'string') watch(message.watch);
    if (typeof message.drain === 'string') drain(message.drain, String(message.by));
  });
  await subscriber.subscribe(names.controlChannel);
}
