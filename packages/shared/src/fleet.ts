import type { WorkerEntry } from './catalog.ts';
import type { Wait } from './call.ts';
import type { Names } from './names.ts';
import { loadScript, type Redis } from './redis.ts';
import type { Manifest } from './tool.ts';

type Class = 'interactive' | 'batch';
export type ByClass = Record<Class, number>;

export interface FleetWorker extends WorkerEntry {
  /** calls it holds; where more than a thousand of its pool run, an estimate */
  active: number;
}

/** Lanes with waiting calls, by what the first of them waits for. */
export interface LaneCount {
  class: Class;
  /** `share` where only a slot is missing */
  reason: Wait['reason'];
  lanes: number;
  calls: number;
}

export interface FleetPool {
  pool: string;
  /** names of the tools it serves; none where Redis has forgotten a pool that nobody serves */
  tools: readonly string[];
  workers: FleetWorker[];
  /** calls they run at once */
  slots: number;
  active: number;
  /** calls that wait for a slot or a limit */
  waiting: ByClass;
  /** how long the oldest of them waits, 0 where none does */
  oldestMs: ByClass;
  /** calls that wait for their time: a retry, an approval, an equal call */
  delayed: number;
  /** of the calls in lanes; beyond a thousand lanes, or 300 buckets, an estimate */
  lanes: LaneCount[];
  /** dead letters that are kept */
  dead: number;
  /** what to scale by: (active + waiting) / slots, waiting alone where no worker lives */
  load: number;
}

/** Everything there is at a moment: pools that have a worker, or calls. */
export interface Fleet {
  pools: FleetPool[];
  /** durable runs; those `waiting` are parked */
  runs: { queued: number; running: number; waiting: number };
  redis: { usedBytes: number; maxBytes?: number };
}

export interface FleetReader {
  /** How things stand, or stood no more than `maxAgeMs` ago as somebody else asked; default 1,000. */
  read(maxAgeMs?: number): Promise<Fleet>;
}

/** As fleet-1.lua tells it. */
interface Told {
  now: number;
  /** an object where there is none: Lua knows no empty list */
  workers: WorkerEntry[] | object;
  runs: Fleet['runs'];
  pools: Record<string, ToldPool>;
}

interface ToldPool {
  waiting: Record<ClassLetter, number>;
  since: Partial<Record<ClassLetter, number>>;
  active: number;
  held: Record<string, number>;
  delayed: number;
  dead: number;
  lanes: Record<string, { lanes: number; calls: number }>;
}

type ClassLetter = 'i' | 'b';

const fleetScript = loadScript('./fleet-1.lua', import.meta.url);

export function createFleetReader(redis: Redis, names: Names): FleetReader {
  /** A pool is its tools: they never change. */
  const known = new Map<string, readonly string[]>();

  const toolsOf = async (pool: string): Promise<readonly string[]> => {
    const text = await redis.get(names.manifests(pool));
    if (text === null) return [];
    const tools = [...new Set((JSON.parse(text) as Manifest[]).map(({ name }) => name))].toSorted();
    known.set(pool, tools);
    return tools;
  };

  return {
    async read(maxAgeMs = 1_000) {
      const [text, memory] = await Promise.all([
        fleetScript(redis, [names.tag], [Math.ceil(maxAgeMs)]),
        redis.info('memory'),
      ]);
      const told = JSON.parse(text as string) as Told;
      const pools = readPools(told);
      for (const pool of pools) pool.tools = known.get(pool.pool) ?? (await toolsOf(pool.pool));
      return { pools, runs: told.runs, redis: readMemory(memory) };
    },
  };
}

function readPools({ now, workers, pools }: Told): FleetPool[] {
  const byPool = Map.groupBy(Array.isArray(workers) ? (workers as WorkerEntry[]) : [], ({ pool }) => pool);
  return Object.entries(pools)
    .map(([pool, told]) => readPool(pool, told, byPool.get(pool) ?? [], now))
    .filter(hasAnything)
    .toSorted((a, b) => b.slots - a.slots || a.pool.localeCompare(b.pool));
}

function readPool(pool: string, told: ToldPool, workers: readonly WorkerEntry[], now: number): FleetPool {
  const slots = workers.reduce((sum, one) => sum + one.slots, 0);
  const waiting = { interactive: told.waiting.i, batch: told.waiting.b };
  const busy = told.active + waiting.interactive + waiting.batch;
  const age = (since: number | undefined) => (since === undefined ? 0 : Math.max(0, now - since));
  return {
    pool,
    tools: [],
    workers: workers.map((one) => ({ ...one, active: Math.round(told.held[one.id] ?? 0) })),
    slots,
    active: told.active,
    waiting,
    oldestMs: { interactive: age(told.since.i), batch: age(told.since.b) },
    delayed: told.delayed,
    lanes: Object.entries(told.lanes).map(([of, counted]) => readLanes(of, counted)),
    dead: told.dead,
    load: slots > 0 ? busy / slots : busy - told.active,
  };
}

function readLanes(of: string, { lanes, calls }: { lanes: number; calls: number }): LaneCount {
  const [letter, reason] = of.split(' ') as [ClassLetter, LaneCount['reason']];
  const ofClass = letter === 'b' ? 'batch' : 'interactive';
  return { class: ofClass, reason, lanes: Math.round(lanes), calls: Math.round(calls) };
}

/** A pool that nobody serves is of interest while something of it is left. */
const hasAnything = ({ workers, active, waiting, delayed, dead }: FleetPool): boolean =>
  workers.length + active + waiting.interactive + waiting.batch + delayed + dead > 0;

function readMemory(info: string): Fleet['redis'] {
  const bytes = (field: string) => Number(new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1] ?? 0);
  const maxBytes = bytes('maxmemory');
  return { usedBytes: bytes('used_memory'), ...(maxBytes > 0 && { maxBytes }) };
}
