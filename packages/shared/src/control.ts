import type { Names } from './names.ts';
import type { Redis } from './redis.ts';

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
}

/** The side of whoever gives orders. */
export interface Control {
  /** Has workers abort the calls of a run; see `ControlMessage.until`. */
  cancel(runId: string, until?: number): Promise<void>;
}

export function createControl(redis: Redis, names: Names): Control {
  return {
    async cancel(runId, until) {
      const message: ControlMessage = { cancel: runId, ...(until !== undefined && { until }) };
      await redis.publish(names.controlChannel, JSON.stringify(message));
    },
  };
}

/** The side of a worker. */
export interface ControlHandlers {
  cancel(runId: string, until: number): void;
  watch(runId: string): void;
}

/** Subscribes to what workers are told; returns when nothing will be missed but by a lost connection. */
export async function followControl(
  subscriber: Redis,
  names: Names,
  { cancel, watch }: ControlHandlers,
): Promise<void> {
  subscriber.on('message', (channel: string, text: string) => {
    if (channel !== names.controlChannel) return;
    const message = readMessage(text);
    if (typeof message.cancel === 'string') cancel(message.cancel, message.until ?? Number.POSITIVE_INFINITY);
    if (typeof message.watch === 'string') watch(message.watch);
  });
  await subscriber.subscribe(names.controlChannel);
}

/** Anybody may publish: what is no message says nothing. */
function readMessage(text: string): ControlMessage {
  try {
    const message: unknown = JSON.parse(text);
    return typeof message === 'object' && message !== null ? message : {};
  } catch {
    return {};
  }
}
