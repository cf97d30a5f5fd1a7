import { setTimeout as delay } from 'node:timers/promises';

/** How late a request may be asked because this process was not awake; latencies count from when it was due. */
const tickMs = 5;

export interface Pace {
  callsPerSecond: number;
  /** on the clock of `performance.now` */
  startAt: number;
  endAt: number;
  stop: AbortSignal;
}

/**
 * Asks at a constant rate, whatever comes of it (an open loop): each request has a time of its own on a schedule that no
 * slow answer shifts. `ask` begins a request that was due at a time, and says how many calls it makes.
 */
export async function keepPace({ callsPerSecond, startAt, endAt, stop }: Pace, ask: (dueAt: number) => number) {
  let dueAt = startAt;
  while (dueAt < endAt && !stop.aborted) {
    const now = performance.now();
    while (dueAt <= now && dueAt < endAt) dueAt += (ask(dueAt) / callsPerSecond) * 1_000;
    await delay(tickMs, undefined, { signal: stop }).catch(() => {});
  }
}
