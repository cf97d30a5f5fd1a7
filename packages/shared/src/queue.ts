import { Job, Queue, type IRedisTransaction } from 'bullmq';
import { admissionCall, type AdmissionCall } from './admission/admission-call.ts';
import { createAdmission, enterArguments, enterScript } from './admission/admission.ts';
import { batchByTick } from './batch.ts';
import type { Envelope } from './call.ts';
import type { Names } from './names.ts';
import type { Redis } from './redis.ts';

export interface CallJob {
  envelope: Envelope;
  /** the trace context that travels with the job, if there is a trace */
  carrier: string | undefined;
}

/** A key that says of something that it was done, and is to be done once. */
export interface Mark {
  key: string;
  /** what stood there when it was decided to do it */
  was: string | null;
  next: string;
  ttlMs: number;
}

/** Jobs one transaction takes: an insert with admission costs Redis 25 µs, so 100 of them hold others up by 3 ms. */
const maxBulk = 100;

/** The queues of the pools: the only door to BullMQ's `Queue`. */
export interface CallQueues {
  /** Adds a job; the key is its id, so a second add of a key that is there changes nothing. */
  add(pool: string, job: CallJob): Promise<void>;
  /**
   * Adds a job and writes `mark.next`, both or neither: false where the mark does not stand as it was read. Needs a
   * connection of its own, see `connectOnce`, and one add at a time.
   */
  addMarked(pool: string, job: CallJob, mark: Mark): Promise<boolean>;
  /** Whether a job is there that will not run any more. */
  hasEnded(pool: string, key: string): Promise<boolean>;
  /** Removes a job that has ended. */
  remove(pool: string, key: string): Promise<boolean>;
  /** Takes a job back, and what it held or where it waited. False when a worker holds it. */
  withdraw(pool: string, envelope: Envelope): Promise<boolean>;
  /** The calls that workers hold right now. */
  active(pool: string): Promise<Envelope[]>;
  close(): Promise<void>;
}

export function createCallQueues(redis: Redis, names: Names): CallQueues {
  const pools = new Map<string, { queue: Queue; add: (job: CallJob) => Promise<void> }>();
  const admission = createAdmission(redis, names);
  enterScript.define(redis);

  const enter = (transaction: IRedisTransaction, pool: string, calls: readonly AdmissionCall[]): void => {
    void transaction.runCommand(enterScript.name, [1, names.tag, ...enterArguments(pool, calls, 'new')]);
  };

  const open = (pool: string) => {
    const queue = new Queue(names.queue(pool), {
      connection: redis,
      prefix: names.bullPrefix,
      streams: { events: { maxLen: 1_000 } },
    });
    queue.on('error', () => {}); // the connection logs its own losses
    const addBulk = async (jobs: CallJob[]): Promise<void[]> => {
      const admitted = jobs.flatMap(({ envelope }) => admissionCall(envelope, pool) ?? []);
      if (admitted.length === 0) await queue.addBulk(jobs.map(toBullJob));
      else await transact(queue, jobs, (transaction) => enter(transaction, pool, admitted));
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
    async addMarked(pool, job, { key, was, next, ttlMs }) {
      const { queue } = at(pool);
      await redis.watch(key);
      if ((await redis.get(key)) !== was) {
        await redis.unwatch();
        return false;
      }
      const admitted = admissionCall(job.envelope, pool);
      return transact(queue, [job], (transaction) => {
        if (admitted) enter(transaction, pool, [admitted]);
        transaction.runCommand('set', [key, next, 'PX', ttlMs]);
      });
    },
    hasEnded: async (pool, key) => ['failed', 'completed'].includes(await at(pool).queue.getJobState(key)),
    remove: async (pool, key) => (await at(pool).queue.remove(key)) === 1,
    async withdraw(pool, envelope) {
      if ((await at(pool).queue.remove(envelope.key)) !== 1) return false;
      const admitted = admissionCall(envelope, pool);
      if (admitted) await admission.leave(admitted, 'unstarted');
      return true;
    },
    async active(pool) {
      const jobs = await at(pool).queue.getActive();
      return jobs.flatMap((job: Job<Envelope> | undefined) => job?.data ?? []);
    },
    async close() {
      await Promise.all([...pools.values()].map(({ queue }) => queue.close()));
    },
  };
}

/**
 * Adds jobs and does what belongs to it in one transaction: nobody sees a job that admission has not spoken on, and a
 * process that dies on the way leaves nothing. False where a key that is watched was written.
 */
async function transact(
  queue: Queue,
  jobs: readonly CallJob[],
  also: (transaction: IRedisTransaction) => void,
): Promise<boolean> {
  const client = await queue.getBackend().client;
  const transaction = client.multi();
  for (const { name, data, opts } of jobs.map(toBullJob)) {
    void new Job(queue, name, data, opts, opts.jobId).addJob(transaction);
  }
  also(transaction);
  const results = await transaction.exec();
  if (!results) return false;
  const failed = results.map(([error]) => error).find((error) => error !== null);
  if (!failed) return true;
  await Promise.all(jobs.map(({ envelope }) => queue.remove(envelope.key)));
  throw failed;
}

/** Options are few, as Redis decodes and encodes each of them for every job; what all jobs share, the worker sets. */
const toBullJob = ({ envelope, carrier }: CallJob) => ({
  name: envelope.tool.name,
  data: envelope,
  opts: { jobId: envelope.key, ...(carrier === undefined ? {} : { telemetry: { metadata: carrier } }) },
});
