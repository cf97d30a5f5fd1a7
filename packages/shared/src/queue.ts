import { Queue } from 'bullmq';
import { batchByTick } from './batch.ts';
import type { Envelope } from './call.ts';
import type { Names } from './names.ts';
import type { Redis } from './redis.ts';

export interface CallJob {
  envelope: Envelope;
  /** the trace context that travels with the job, if there is a trace */
  carrier: string | undefined;
}

/** Jobs one pipeline takes: BullMQ's insert costs Redis 40 µs, so 200 of them hold others up by 8 ms. */
const maxBulk = 200;

/** The queues of the pools: the only door to BullMQ's `Queue`. */
export interface CallQueues {
  /** Adds a job; the key is its id, so a second add of a key that is there changes nothing. */
  add(pool: string, job: CallJob): Promise<void>;
  /** Takes a job back. False when a worker holds it. */
  withdraw(pool: string, key: string): Promise<boolean>;
  close(): Promise<void>;
}

export function createCallQueues(redis: Redis, names: Names): CallQueues {
  const pools = new Map<string, { queue: Queue; add: (job: CallJob) => Promise<void> }>();

  const open = (pool: string) => {
    const queue = new Queue(names.queue(pool), {
      connection: redis,
      prefix: names.bullPrefix,
      streams: { events: { maxLen: 1_000 } },
    });
    queue.on('error', () => {}); // the connection logs its own losses
    const addBulk = async (jobs: CallJob[]): Promise<void[]> => {
      await queue.addBulk(jobs.map(toBullJob));
      return [];
    };
    const batched = batchByTick(addBulk, maxBulk);
    const opened = { queue, add: (job: CallJob) => batched(job).done };
    pools.set(pool, opened);
    return opened;
  };
  const at = (pool: string) => pools.get(pool) ?? open(pool);

  return {
    add: (pool, job) => at(pool).add(job),
    withdraw: async (pool, key) => (await at(pool).queue.remove(key)) === 1,
    async close() {
      await Promise.all([...pools.values()].map(({ queue }) => queue.close()));
    },
  };
}

/** Options are few, as Redis decodes and encodes each of them for every job; what all jobs share, the worker sets. */
const toBullJob = ({ envelope, carrier }: CallJob) => ({
  name: envelope.tool.name,
  data: envelope,
  opts: { jobId: envelope.key, ...(carrier === undefined ? {} : { telemetry: { metadata: carrier } }) },
});
