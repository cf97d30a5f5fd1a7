import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { DispatcherOptions } from '@callyard/dispatcher';
import type { Asked } from './calls.ts';

/** Calls to ask for, this many of each at once. */
export interface Order {
  count: number;
  asked: Asked[];
}

/** How many calls ended how: by status, or by the code of what went wrong. */
export type Tally = Record<string, number>;

/** A dispatcher in a process of its own. */
export interface DispatcherProcess {
  ask(order: Order): Promise<Tally>;
  /** Sends an order nobody waits for. */
  send(order: Order): void;
  /** kill -9; resolves when it is gone */
  kill(): Promise<void>;
}

export async function startDispatcher(
  redisUrl: string,
  prefix: string,
  options: Pick<DispatcherOptions, 'limits' | 'fairShare'> = {},
): Promise<DispatcherProcess> {
  const script = new URL('./dispatcher.ts', import.meta.url);
  const child = fork(script, [redisUrl, prefix, JSON.stringify(options)]);
  await once(child, 'message');
  return {
    async ask(order) {
      child.send(order);
      const [tally] = (await once(child, 'message')) as [Tally];
      return tally;
    },
    send: (order) => void child.send(order),
    async kill() {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
