import { createHash } from 'node:crypto';
import { Envelope } from './call.ts';
import { deadLetterTtlMs } from './dead-jobs.ts';
import type { Names } from './names.ts';
import { answersOf, loadScript, type Redis } from './redis.ts';
import type { Manifest } from './tool.ts';

/** A worker as the catalog lists it. */
export interface WorkerEntry {
  id: string;
  pool: string;
  /** calls it runs at once */
  slots: number;
  host: string;
  pid: number;
  startedAt: number;
}

/** What is live: each pool with its manifests and the workers in it. */
export interface LivePool {
  pool: string;
  manifests: readonly Manifest[];
  workers: readonly WorkerEntry[];
}

/** Manifests outlive their workers by this, so that a dead letter can still be told what it was. */
const manifestTtlMs = 24 * 3_600_000;

const forgetScript = loadScript('./forget-1.lua', import.meta.url);

/**
 * The pool is the tools: workers that serve exactly the same manifests share a queue, others never meet. Neither do
 * workers that understand other envelopes, so that no call waits where only some can run it.
 */
export function poolOf(manifestHashes: readonly string[]): string {
  const served = [`v${Envelope.properties.v.const}`, ...manifestHashes.toSorted()];
  return createHash('sha256').update(served.join('\n')).digest('hex').slice(0, 8);
}

/** The worker's side: be listed while alive. */
export interface Membership {
  /** Whether dispatchers find it. */
  isListed(): Promise<boolean>;
  leave(): Promise<void>;
}

export interface JoinOptions {
  redis: Redis;
  names: Names;
  worker: WorkerEntry;
  manifests: readonly Manifest[];
  heartbeatMs: number;
  /** told when a heartbeat could not be written */
  onError: (error: unknown) => void;
}

/** Lists a worker and keeps it alive: it counts as gone three missed heartbeats after its last. */
export async function joinCatalog(options: JoinOptions): Promise<Membership> {
  const { redis, names, worker, manifests, heartbeatMs, onError } = options;
  await refuseConflicts(options);
  const tell = () => redis.publish(names.catalogChannel, worker.id);
  const writeManifests = () => redis.set(names.manifests(worker.pool), JSON.stringify(manifests), 'PX', manifestTtlMs);
  await writeManifests();
  const member = JSON.stringify(worker);
  const beat = async (): Promise<void> => {
    const now = await redisNow(redis);
    const [hadManifests] = await answersOf(
      redis
        .pipeline()
        .pexpire(names.manifests(worker.pool), manifestTtlMs)
        .zadd(names.workers, now + 3 * heartbeatMs, member)
        .zadd(names.pools, now, worker.pool)
        .pexpire(names.workers, manifestTtlMs),
    );
    if (hadManifests === 0) {
      await writeManifests(); // Redis has lost what it knew, as one does that keeps nothing and is started again
      await tell();
    }
    await forgetScript(redis, [names.tag], [deadLetterTtlMs]);
  };
  await beat();
  await tell();
  let beating = Promise.resolve();
  const timer = setInterval(() => {
    beating = beat().catch(onError);
  }, heartbeatMs);
  return {
    isListed: async () => (await redis.zscore(names.workers, member)) !== null,
    async leave() {
      clearInterval(timer);
      await beating; // it would list the worker again
      await redis.zrem(names.workers, member);
      await tell();
    },
  };
}

/** The same name@version must mean the same schema everywhere, or validation would depend on who picks a call up. */
async function refuseConflicts({ redis, names, manifests }: JoinOptions): Promise<void> {
  const mine = new Map(manifests.map((manifest) => [`${manifest.name}@${manifest.version}`, manifest.schemaHash]));
  for (const { manifests: theirs, workers } of await readCatalog(redis, names)) {
    for (const { name, version, schemaHash } of theirs) {
      const hash = mine.get(`${name}@${version}`);
      if (hash === undefined || hash === schemaHash) continue;
      throw new Error(
        `tool ${name}@${version}: worker ${workers[0]?.id} already serves this version with another schema ` +
          `(${schemaHash}, here ${hash}). Raise the version.`,
      );
    }
  }
}

/** The dispatcher's side: the pools that have a live worker. Manifests are cached by the caller's `known`. */
export async function readCatalog(
  redis: Redis,
  names: Names,
  known: ReadonlyMap<string, readonly Manifest[]> = new Map(),
): Promise<LivePool[]> {
  const now = await redisNow(redis);
  const [, members] = (await answersOf(
    redis.pipeline().zremrangebyscore(names.workers, '-inf', `(${now}`).zrange(names.workers, '0', '-1'),
  )) as [number, string[]];
  const workers = members.map((member) => JSON.parse(member) as WorkerEntry);
  const byPool = Map.groupBy(workers, ({ pool }) => pool);
  const pools = await Promise.all(
    [...byPool].map(async ([pool, inPool]): Promise<LivePool | undefined> => {
      const manifests = known.get(pool) ?? (await readManifests(redis, names, pool));
      return manifests && { pool, manifests, workers: inPool };
    }),
  );
  return pools.filter((pool) => pool !== undefined);
}

/** Since when workers serve a pool without a gap, as far as those tell that live; Redis time. */
export async function servedSince(redis: Redis, names: Names, { pool, startedAt }: WorkerEntry): Promise<number> {
  const now = await redisNow(redis);
  const members = await redis.zrange(names.workers, now, '+inf', 'BYSCORE');
  const inPool = members.map((member) => JSON.parse(member) as WorkerEntry).filter((one) => one.pool === pool);
  return Math.min(startedAt, ...inPool.map((one) => one.startedAt));
}

async function readManifests(redis: Redis, names: Names, pool: string): Promise<Manifest[] | undefined> {
  const text = await redis.get(names.manifests(pool));
  return text === null ? undefined : (JSON.parse(text) as Manifest[]);
}

async function redisNow(redis: Redis): Promise<number> {
  const [seconds, micros] = await redis.time();
  return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
}
