import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerEntry } from './catalog.ts';
import { parseOutcome, type Outcome } from './call.ts';
import type { Control } from './control.ts';
import type { Names } from './names.ts';
import { answersOf, type Redis } from './redis.ts';

/** How often a worker is looked at while it stops, and told again while it has not begun to. */
const lookEveryMs = 200;

/** How often it is asked anew who has the calls of the pool: one may come back to a worker that had it before. */
const askAgainMs = 2_000;

export interface DrainOptions {
  redis: Redis;
  names: Names;
  control: Pick<Control, 'drain'>;
  worker: Pick<WorkerEntry, 'id' | 'pool'>;
  /** who asks for it, for the audit stream */
  by: string;
  timeoutMs: number;
}

export interface Drained {
  /** false where the time was over before */
  isGone: boolean;
  /** what became of the calls it held: of those that it ended itself the status, of others that they were handed back */
  calls: Partial<Record<Outcome['status'] | 'handedBack' | 'held', number>>;
}

/** Has a worker stop, and waits until it has left the catalog, holds no call and has closed its connection. */
export async function drainWorker(options: DrainOptions): Promise<Drained> {
  const { redis, names, control, worker, by, timeoutMs } = options;
  const until = performance.now() + timeoutMs;
  const keys = new Set<string>();
  const heldNow = watchHeld(redis, names, worker);
  for (;;) {
    const isListed = await inCatalog(redis, names, worker.id);
    const held = await heldNow();
    for (const key of held) keys.add(key);
    const isGone = !isListed && held.length === 0 && !(await isConnected(redis, worker.id));
    if (isListed) await control.drain(worker.id, by); // also where the time is over already: it was said that it is told
    if (isGone || performance.now() >= until) return { isGone, calls: await endsOf(options, [...keys], held) };
    await delay(lookEveryMs);
  }
}

async function inCatalog(redis: Redis, names: Names, id: string): Promise<boolean> {
  const [seconds] = await redis.time();
  const entries = await redis.zrangebyscore(names.workers, Number(seconds) * 1_000, '+inf');
  return entries.some((entry) => (JSON.parse(entry) as WorkerEntry).id === id);
}

/**
 * BullMQ keeps with each job that runs who has it. Of those that run on it is not asked at every look: there may be ten
 * thousand of them.
 */
function watchHeld(redis: Redis, names: Names, { id, pool }: DrainOptions['worker']): () => Promise<string[]> {
  let holders = new Map<string, unknown>();
  let askedAt = performance.now();
  return async () => {
    const active = await redis.lrange(names.active(pool), 0, -1);
    if (performance.now() - askedAt >= askAgainMs) {
      holders.clear();
      askedAt = performance.now();
    }
    const unknown = active.filter((key) => !holders.has(key));
    const pipeline = redis.pipeline();
    for (const key of unknown) pipeline.hget(names.job(pool, key), 'pb');
    const answers = await answersOf(pipeline);
    const asked = new Map(unknown.map((key, i) => [key, answers[i]]));
    holders = new Map(active.map((key) => [key, holders.get(key) ?? asked.get(key)]));
    return active.filter((key) => holders.get(key) === id);
  };
}

/** Where clients may not be listed, nobody is seen. */
async function isConnected(redis: Redis, id: string): Promise<boolean> {
  const clients = await redis.call('CLIENT', 'LIST').catch(() => '');
  return new RegExp(` name=callyard-worker:${id}[ :]`).test(String(clients));
}

async function endsOf({ redis, names, worker }: DrainOptions, keys: readonly string[], held: readonly string[]) {
  const calls: Drained['calls'] = {};
  if (keys.length === 0) return calls;
  const texts = await redis.mget(keys.map((key) => names.outcome(key)));
  for (const [i, key] of keys.entries()) {
    const outcome = texts[i] ? parseOutcome(texts[i]) : undefined;
    const endedThere = outcome?.worker === worker.id ? outcome.status : 'handedBack';
    const end = held.includes(key) && !outcome ? 'held' : endedThere;
    calls[end] = (calls[end] ?? 0) + 1;
  }
  return calls;
}
