import { setTimeout as delay } from 'node:timers/promises';
import type { WorkerEntry } from './catalog.ts';
import { parseOutcome, type Outcome } from './call.ts';
import type { Control } from './control.ts';
import type { Names } from './names.ts';
import type { Redis } from './redis.ts';

/** How often a worker is looked at while it stops, and told again while it has not begun to. */
const lookEveryMs = 200;

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
  for (;;) {
    const isListed = await inCatalog(redis, names, worker.id);
    const held = await heldBy(redis, names, worker);
    for (const key of held) keys.add(key);
    const isGone = !isListed && held.length === 0 && !(await isConnected(redis, worker.id));
    if (isGone || performance.now() >= until) return { isGone, calls: await endsOf(options, [...keys], held) };
    if (isListed) await control.drain(worker.id, by);
    await delay(lookEveryMs);
  }
}

async function inCatalog(redis: Redis, names: Names, id: string): Promise<boolean> {
  const [seconds] = await redis.time();
  const entries = await redis.zrangebyscore(names.workers, Number(seconds) * 1_000, '+inf');
  return entries.some((entry) => (JSON.parse(entry) as WorkerEntry).id === id);
}

/** BullMQ keeps with each job that runs who has it. */
async function heldBy(redis: Redis, names: Names, { id, pool }: DrainOptions['worker']): Promise<string[]> {
  const active = await redis.lrange(names.active(pool), 0, -1);
  if (active.length === 0) return [];
  const pipeline = redis.pipeline();
  for (const key of active) pipeline.hget(names.job(pool, key), 'pb');
  const holders = (await pipeline.exec()) ?? [];
  return active.filter((_, i) => holders[i]?.[1] === id);
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
