import { QueueEvents } from 'bullmq';
import { expect, onTestFinished } from 'vitest';
import type { Callyard } from './setup.ts';

/** Counts by BullMQ's own events how often workers of these pools pick up each call. */
export async function watchPickUps(yard: Callyard, pools: readonly string[]) {
  const counts = new Map<string, number>();
  const ended = new Set<string>();
  for (const pool of pools) {
    const events = new QueueEvents(yard.names.queue(pool), {
      prefix: yard.names.bullPrefix,
      connection: { url: yard.redisUrl },
    });
    onTestFinished(() => events.close());
    events.on('active', ({ jobId }) => counts.set(jobId, (counts.get(jobId) ?? 0) + 1));
    events.on('completed', ({ jobId }) => ended.add(jobId));
    await events.waitUntilReady();
  }
  return {
    /** The number of pick-ups of each of these calls, once BullMQ has told of the end of all of them. */
    async of(keys: readonly string[]): Promise<number[]> {
      await expect.poll(() => keys.filter((key) => !ended.has(key)), { timeout: 5_000 }).toEqual([]);
      return keys.map((key) => counts.get(key) ?? 0);
    },
  };
}
