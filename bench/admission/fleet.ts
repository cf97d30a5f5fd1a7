import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { createDispatcher, type Dispatcher, type DispatcherOptions } from '@callyard/dispatcher';
import { environmentWith } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { createNames, type Names } from '@callyard/shared/names';
import { Redis } from 'ioredis';
import { startProcesses, type ServingProcess } from '../../packages/cli/src/processes.ts';
import { toolNames } from './tools.ts';

/** Worker processes of the bench, and dispatchers that send to them, in an installation of their own. */
export interface Fleet {
  readonly redisUrl: string;
  readonly redis: Redis;
  readonly names: Names;
  readonly prefix: string;
  readonly workers: ServingProcess[];
  /** one more worker process, through another way to Redis if one is given */
  add(redisUrl?: string): Promise<ServingProcess>;
  /** kill -9; resolves when it is gone */
  kill(worker: ServingProcess): Promise<void>;
  dispatcher(options?: DispatcherOptions): Promise<Dispatcher>;
  /** Resolves when this many calls wait in lanes. */
  hasWaiting(count: number): Promise<void>;
  /** jobs that wait, run, or are delayed */
  jobs(): Promise<number>;
  /** What admission keeps of calls: leases, and places in lanes. 0 when all calls are through. */
  leaked(): Promise<number>;
  /** Kills what lives and removes every key: nothing of one measurement reaches the next. */
  end(): Promise<void>;
}

export interface FleetOptions {
  workers?: number;
  slots?: number;
  /** environment of the workers */
  settings?: Record<string, string>;
}

/** A dead worker's calls are found after this, where the default profile takes 10 s. */
export const quickLock = { CALLYARD_LOCK_MS: '2000', CALLYARD_STALLED_CHECK_MS: '500' };

export const slotsOfWorker = 10;

let fleets = 0;

export async function startFleet(redisUrl: string, options: FleetOptions = {}): Promise<Fleet> {
  const { workers: count = 2, slots = slotsOfWorker, settings = {} } = options;
  const prefix = `bench-admission-${process.pid}-${++fleets}`;
  const redis = new Redis(redisUrl);
  const names = createNames(prefix);
  const workers: ServingProcess[] = [];
  const dispatchers: Dispatcher[] = [];
  const add = async (url = redisUrl): Promise<ServingProcess> => {
    const own = { REDIS_URL: url, CALLYARD_PREFIX: prefix, CALLYARD_LOG_LEVEL: 'error' };
    const env = environmentWith({ ...own, CALLYARD_CONCURRENCY: String(slots), ...settings });
    const [worker] = await startProcesses(1, { script: new URL('./worker.ts', import.meta.url), args: [], env });
    workers.push(worker as ServingProcess);
    return worker as ServingProcess;
  };
  const kill = async (worker: ServingProcess): Promise<void> => {
    workers.splice(workers.indexOf(worker), 1);
    worker.process.kill('SIGKILL');
    if (worker.process.exitCode === null && worker.process.signalCode === null) await once(worker.process, 'exit');
  };
  await Promise.all(Array.from({ length: count }, () => add()));
  return {
    redisUrl,
    redis,
    names,
    prefix,
    workers,
    add,
    kill,
    async dispatcher(own = {}) {
      const log = createLogger({ name: 'bench', level: 'error' });
      const dispatcher = await createDispatcher({ redisUrl, prefix, log, ...roomy, ...own });
      dispatchers.push(dispatcher);
      await dispatcher.waitForTools(toolNames);
      return dispatcher;
    },
    async hasWaiting(wanted) {
      const queue = await poolQueue(redis, names);
      while ((await redis.zcard(`${queue}:delayed`)) < wanted) await delay(20);
    },
    async jobs() {
      const queue = await poolQueue(redis, names);
      const [waiting, active] = await Promise.all([redis.llen(`${queue}:wait`), redis.llen(`${queue}:active`)]);
      return waiting + active + (await redis.zcard(`${queue}:delayed`));
    },
    leaked: () => countLeaked(redis, names),
    async end() {
      await Promise.all(dispatchers.map((dispatcher) => dispatcher.close()));
      await Promise.all([...workers].map(kill));
      await removeKeys(redis, prefix);
      redis.disconnect();
    },
  };
}

/** Where BullMQ keeps the calls of the one pool there is. */
async function poolQueue(redis: Redis, { tag, pools, queue }: Names): Promise<string> {
  const [pool = ''] = await redis.zrange(pools, '0', '-1');
  return `${tag}:${queue(pool)}`;
}

async function countLeaked(redis: Redis, { tag }: Names): Promise<number> {
  let count = 0;
  for await (const keys of redis.scanStream({ match: `${tag}:*`, count: 1_000 })) {
    for (const key of keys as string[]) {
      if (key.startsWith(`${tag}:out:`)) count += await redis.hlen(key);
      if (key.startsWith(`${tag}:bucket:c:`) && !key.endsWith(':lanes')) count += await redis.zcard(key);
      if (key.startsWith(`${tag}:lane:`) && !key.endsWith(':about')) count += await redis.llen(key);
    }
  }
  return count;
}

/** What a bench asks at once no conversation would. */
const roomy = { maxCalls: 1_000_000, runTimeoutMs: 3_600_000 };

async function removeKeys(redis: Redis, prefix: string): Promise<void> {
  for await (const keys of redis.scanStream({ match: `{${prefix}:*`, count: 1_000 })) {
    if ((keys as string[]).length > 0) await redis.unlink(keys as string[]);
  }
}
