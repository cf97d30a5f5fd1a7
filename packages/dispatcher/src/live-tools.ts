import { readCatalog, type LivePool } from '@callyard/shared/catalog';
import type { ToolRef } from '@callyard/shared/call';
import type { Names } from '@callyard/shared/names';
import type { Redis } from '@callyard/shared/redis';
import type { Manifest } from '@callyard/shared/tool';
import { maxSatisfying, rcompare, satisfies } from 'semver';

/** The tools that workers serve right now, as this dispatcher last read them from the catalog. */
export interface LiveTools {
  /** the highest live version of every tool, by name */
  latest(): readonly Manifest[];
  /** the highest live version in the range, or the highest of all */
  find(name: string, range?: string): Manifest | undefined;
  /** a live pool that may run the call; one with more slots is more likely */
  route(tool: Pick<ToolRef, 'name' | 'range'>): string | undefined;
  isLive(pool: string): boolean;
  /** whether any worker has served the name since this dispatcher started */
  wasSeen(name: string): boolean;
  refresh(): Promise<void>;
  /** resolves at the first refresh after which every name is live */
  until(names: readonly string[], signal: AbortSignal): Promise<void>;
}

interface Snapshot {
  pools: ReadonlyMap<string, LivePool>;
  /** name → version → pools */
  tools: ReadonlyMap<string, ReadonlyMap<string, { manifest: Manifest; pools: LivePool[] }>>;
}

export function watchLiveTools(redis: Redis, names: Names): LiveTools {
  let snapshot = index([]);
  const seen = new Set<string>();
  const waiting = new Set<() => void>();

  const refresh = async (): Promise<void> => {
    const known = new Map([...snapshot.pools].map(([pool, { manifests }]) => [pool, manifests]));
    snapshot = index(await readCatalog(redis, names, known));
    for (const name of snapshot.tools.keys()) seen.add(name);
    for (const check of waiting) check();
  };

  return {
    latest: () => [...snapshot.tools.values()].map((versions) => highest(versions.values()).manifest),
    find(name, range = '*') {
      const versions = snapshot.tools.get(name);
      const version = versions && best([...versions.keys()], range);
      return version === undefined ? undefined : versions?.get(version)?.manifest;
    },
    route({ name, range }) {
      const fitting = [...(snapshot.tools.get(name) ?? [])].filter(([version]) => inRange(version, range));
      return pickBySlots(fitting.flatMap(([, { pools }]) => pools));
    },
    isLive: (pool) => snapshot.pools.has(pool),
    wasSeen: (name) => seen.has(name),
    refresh,
    until: (wanted, signal) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          waiting.delete(check);
          signal.removeEventListener('abort', giveUp);
          settle();
        };
        const check = () => {
          if (wanted.every((name) => snapshot.tools.has(name))) end(resolve);
        };
        const giveUp = () => end(() => reject(signal.reason as Error));
        signal.addEventListener('abort', giveUp, { once: true });
        waiting.add(check);
        check();
      }),
  };
}

function index(pools: readonly LivePool[]): Snapshot {
  const tools = new Map<string, Map<string, { manifest: Manifest; pools: LivePool[] }>>();
  for (const pool of pools) {
    for (const manifest of pool.manifests) {
      const versions = tools.get(manifest.name) ?? new Map<string, { manifest: Manifest; pools: LivePool[] }>();
      tools.set(manifest.name, versions);
      const entry = versions.get(manifest.version) ?? { manifest, pools: [] };
      versions.set(manifest.version, entry);
      entry.pools.push(pool);
    }
  }
  return { pools: new Map(pools.map((pool) => [pool.pool, pool])), tools };
}

const inRange = (version: string, range: string): boolean => satisfies(version, range, { includePrerelease: true });

const best = (versions: string[], range: string): string | undefined =>
  maxSatisfying(versions, range) ?? maxSatisfying(versions, range, { includePrerelease: true }) ?? undefined;

function highest<T extends { manifest: Manifest }>(versions: Iterable<T>): T {
  const [first] = [...versions].sort((a, b) => rcompare(a.manifest.version, b.manifest.version));
  if (!first) throw new Error('a tool without a version');
  return first;
}

/** Weighted by slots, so that a canary pool of one worker among ten gets a tenth of the calls. */
function pickBySlots(pools: readonly LivePool[]): string | undefined {
  const slots = pools.map(({ workers }) => workers.reduce((sum, worker) => sum + worker.slots, 0));
  let at = Math.random() * slots.reduce((sum, n) => sum + n, 0);
  return pools.find((_, i) => (at -= slots[i] ?? 0) < 0)?.pool;
}
