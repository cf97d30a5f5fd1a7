import { readCatalog, type LivePool } from '@callyard/shared/catalog';
import type { ToolRef } from '@callyard/shared/call';
import type { Names } from '@callyard/shared/names';
import type { Redis } from '@callyard/shared/redis';
import type { Manifest } from '@callyard/shared/tool';
import type { Logger } from 'pino';
import { highestIn, runnableBy } from '@callyard/shared/version';

/** The tools that workers serve right now, as this dispatcher last read them from the catalog. */
export interface LiveTools {
  /** the highest live version of every tool, by name */
  latest(): readonly Manifest[];
  /** the highest live version in the range; default: the highest of all */
  find(name: string, range?: string): Manifest | undefined;
  /** a live pool that may run the call, see shared/version.ts; one with more slots is more likely */
  route(tool: WantedTool): string | undefined;
  /** the live pools that serve a tool in whatever version */
  poolsOf(name: string): readonly string[];
  isLive(pool: string): boolean;
  refresh(): Promise<void>;
  /** resolves at the first refresh after which every name is live */
  until(names: readonly string[], signal: AbortSignal): Promise<void>;
  /** resolves at the next refresh, or when the signal aborts */
  next(signal: AbortSignal): Promise<void>;
}

type WantedTool = Pick<ToolRef, 'name' | 'version' | 'range'>;

interface Version {
  manifest: Manifest;
  pools: LivePool[];
}

interface Snapshot {
  pools: ReadonlyMap<string, LivePool>;
  /** name → version */
  tools: ReadonlyMap<string, ReadonlyMap<string, Version>>;
  latest: readonly Manifest[];
  /** `name@version@range` → the pools that may run it: ranges are few, and matching one costs more than an enqueue */
  routes: Map<string, readonly LivePool[]>;
}

export function watchLiveTools(redis: Redis, names: Names, log: Logger): LiveTools {
  let snapshot = index([]);
  const waiting = new Set<() => void>();

  const refresh = async (): Promise<void> => {
    const known = new Map([...snapshot.pools].map(([pool, { manifests }]) => [pool, manifests]));
    const before = snapshot.pools;
    snapshot = index(await readCatalog(redis, names, known));
    tellPools(before, snapshot.pools, log);
    for (const check of waiting) check();
  };

  return {
    latest: () => snapshot.latest,
    find(name, range = '*') {
      const versions = snapshot.tools.get(name);
      const version = versions && highestIn([...versions.keys()], range);
      return version === undefined ? undefined : versions?.get(version)?.manifest;
    },
    route: (tool) => pickBySlots(poolsFor(tool, snapshot)),
    poolsOf(name) {
      const versions = snapshot.tools.get(name) ?? new Map<string, Version>();
      return [...new Set([...versions.values()].flatMap(({ pools }) => pools.map(({ pool }) => pool)))];
    },
    isLive: (pool) => snapshot.pools.has(pool),
    refresh,
    next: (signal) =>
      new Promise((resolve) => {
        const check = () => {
          waiting.delete(check);
          resolve();
        };
        signal.addEventListener('abort', check, { once: true });
        waiting.add(check);
      }),
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

/** Once for each pool that comes or goes, however many calls wait for it. */
function tellPools(before: Snapshot['pools'], now: Snapshot['pools'], log: Logger): void {
  for (const [pool, about] of now) {
    if (!before.has(pool)) log.info({ event: 'pool.came', pool, tools: toolsIn(about) }, 'a pool is served');
  }
  for (const [pool, about] of before) {
    if (!now.has(pool)) log.warn({ event: 'pool.gone', pool, tools: toolsIn(about) }, 'a pool has no workers any more');
  }
}

/** As many as fit a line. */
const toolsIn = ({ manifests }: LivePool): string[] => manifests.slice(0, 10).map(({ name }) => name);

function index(pools: readonly LivePool[]): Snapshot {
  const tools = new Map<string, Map<string, Version>>();
  for (const pool of pools) {
    for (const manifest of pool.manifests) {
      const versions = tools.get(manifest.name) ?? new Map<string, Version>();
      tools.set(manifest.name, versions);
      const version = versions.get(manifest.version) ?? { manifest, pools: [] };
      versions.set(manifest.version, version);
      version.pools.push(pool);
    }
  }
  const latest = [...tools.values()].flatMap((versions) => {
    const version = highestIn([...versions.keys()], '*');
    return version === undefined ? [] : (versions.get(version)?.manifest ?? []);
  });
  return { pools: new Map(pools.map((pool) => [pool.pool, pool])), tools, latest, routes: new Map() };
}

function poolsFor(wanted: WantedTool, { tools, routes }: Snapshot): readonly LivePool[] {
  const { name, version, range } = wanted;
  const asked = `${name}@${version}@${range}`;
  const known = routes.get(asked);
  if (known) return known;
  const versions = tools.get(name) ?? new Map<string, Version>();
  const fitting = runnableBy([...versions.keys()], wanted);
  const pools = [...new Set(fitting.flatMap((one) => versions.get(one)?.pools ?? []))];
  routes.set(asked, pools);
  return pools;
}

/** Weighted by slots, so that a canary pool of one worker among ten gets a tenth of the calls. */
function pickBySlots(pools: readonly LivePool[]): string | undefined {
  if (pools.length < 2) return pools[0]?.pool;
  const slots = pools.map(({ workers }) => workers.reduce((sum, worker) => sum + worker.slots, 0));
  let at = Math.random() * slots.reduce((sum, n) => sum + n, 0);
  return pools.find((_, i) => (at -= slots[i] ?? 0) < 0)?.pool;
}
