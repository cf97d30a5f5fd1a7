import { goneRun, RunError, unknownRun } from '@callyard/shared/runs/run-error';
import type { RunEvent, RunEventBody } from '@callyard/shared/runs/run-event';
import type { RunStore } from '@callyard/shared/runs/run-store';
import type { Names } from '@callyard/shared/names';
import type { Redis } from '@callyard/shared/redis';
import type { News } from './news.ts';

/** Events are written for this long after a reader was last heard of: so long it may be away and miss none. */
const watchMs = 5 * 60_000;

/** How often a reader says that it is there. */
const stillHereMs = 60_000;

/** A message may be lost: the stream is read this often, too. */
const lookMs = 2_000;

/** Events one read takes. */
const maxRead = 500;

export interface EventOptions {
  /** the last event that is known; default: from the first that is kept */
  after?: number;
  signal?: AbortSignal;
}

export interface EventParts {
  redis: Redis;
  news: News;
  names: Names;
  store: Pick<RunStore, 'watch'>;
}

/**
 * The events of a run, from `after` to its end, as they happen. A reader that comes back with the last id it has misses
 * nothing while the run is watched; where nobody read for five minutes, it finds a `state` event and not what was between.
 * @throws RunError `unknown`; `gone` where it was there and is no more; `no_event` for an id from the future, or one whose successors are not kept any more
 */
export async function* readEvents(
  runId: string,
  owner: string,
  { after = 0, signal }: EventOptions,
  { redis, news, names, store }: EventParts,
): AsyncGenerator<RunEvent, void, void> {
  const channel = names.runEvents(runId);
  const bell = createBell();
  const watch = () => store.watch(runId, owner, watchMs);
  const stillHere = setInterval(() => void watch().catch(() => {}), stillHereMs);
  const look = setInterval(bell.ring, lookMs);
  signal?.addEventListener('abort', bell.ring, { once: true });
  try {
    await news.add(channel, bell.ring);
    let seen = await watch();
    if (seen === 'unknown') throw unknownRun(runId);
    if (after > seen.last) {
      throw new RunError('no_event', `Run ${runId} has no event ${after} yet; its last is ${seen.last}.`);
    }
    for (let [at, lookedAt] = [after, performance.now()]; ;) {
      signal?.throwIfAborted();
      const heard = bell.next();
      const events = await readAfter(redis, channel, at);
      const first = events[0]?.id ?? seen.last + 1;
      if (at > 0 && first > at + 1) throw notKept(runId, at, first);
      for (const event of events) {
        at = event.id;
        yield event;
        if (event.type === 'end') return;
      }
      if (events.length > 0) continue;
      if (seen.hasEnded) return;
      await heard;
      if (performance.now() - lookedAt < lookMs) continue;
      seen = await watch();
      if (seen === 'unknown') throw goneRun(runId);
      lookedAt = performance.now();
    }
  } finally {
    clearInterval(stillHere);
    clearInterval(look);
    signal?.removeEventListener('abort', bell.ring);
    await news.remove(channel, bell.ring);
  }
}

async function readAfter(redis: Redis, stream: string, after: number): Promise<RunEvent[]> {
  const entries = await redis.xrange(stream, `(${after}-0`, '+', 'COUNT', maxRead);
  return entries.map(([id, [, text = '{}']]) => ({
    ...(JSON.parse(text) as RunEventBody),
    id: Number.parseInt(id, 10),
  }));
}

const notKept = (runId: string, at: number, first: number): RunError =>
  new RunError(
    'no_event',
    `Event ${at + 1} of run ${runId} is not kept any more; the first is ${first}. Read without after.`,
  );

/** A bell that is heard by whoever waits for the next ring. */
function createBell() {
  let next = Promise.withResolvers<void>();
  return {
    ring: () => {
      next.resolve();
      next = Promise.withResolvers();
    },
    next: () => next.promise,
  };
}
