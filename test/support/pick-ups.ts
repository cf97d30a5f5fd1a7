import { expect, onTestFinished } from 'vitest';
import { monitor } from './redis-monitor.ts';
import type { Callyard } from './setup.ts';

const told = /"event" "(active|completed)" "jobId" "([^"]+)"/;

/**
 * Counts by BullMQ's own events how often workers of these pools pick up each call: as they are written, since BullMQ keeps
 * the last thousand only, and a reader that is busy misses some.
 */
export async function watchPickUps({ redisUrl, names }: Callyard, pools: readonly string[]) {
  const counts = new Map<string, number>();
  const ended = new Set<string>();
  const streams = pools.map((pool) => `"XADD" "${names.bullPrefix}:${names.queue(pool)}:events"`);
  const stop = await monitor(redisUrl, (line) => {
    if (!streams.some((stream) => line.includes(stream))) return;
    const [, event, key = ''] = told.exec(line) ?? [];
    if (event === 'completed') ended.add(key);
    if (event === 'active') counts.set(key, (counts.get(key) ?? 0) + 1);
  });
  onTestFinished(stop);
  return {
    /** The number of pick-ups of each of these calls, once BullMQ has told of the end of all of them. */
    async of(keys: readonly string[]): Promise<number[]> {
      await expect.poll(() => keys.filter((key) => !ended.has(key)), { timeout: 5_000 }).toEqual([]);
      return keys.map((key) => counts.get(key) ?? 0);
    },
  };
}
