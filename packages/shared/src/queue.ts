import { Job, Queue } from 'bullmq';
import { admissionCall } from './admission/admission-call.ts';
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

/** Jobs one transaction takes: an insert with admission costs Redis 25 µs, so 100 of them hold others up by 3 ms. */
const maxBulk = 100;

/** The queues of the pools: the only door to BullMQ's `Queue`. */
export interface CallQueues {
  /** Adds a job; the key is its id, so a second add of a key that is there changes nothing. */
  add(pool: string, job: CallJob): Promise<void>;
  /** Takes a job back, and what it held or where it waited. False when a worker holds it. */
  withdraw(pool: string, envelope: Envelope): Promise<boolean>;
  close(): Promise<void>;
}

export function createCallQueues(redis: Redis, names: Names): CallQueues {
  const pools = new Map<string, { queue: Queue; add: (job: CallJob) => Promise<void> }>();
  const admission = createAdmission(redis, names);
  enterScript.define(redis);

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
      else await addAndEnter(queue, jobs, enterArguments(pool, admitted, 'new'), names.tag);
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
    async withdraw(pool, envelope) {
      if ((await at(pool).queue.remove(envelope.key)) !== 1) return false;
      const admitted = admissionCall(envelope, pool);
      if (admitted) await admission.leave(admitted, 'unstarted');
      return true;
    },
    async close() {
      await Promise.all([...pools.values()].map(({ queue }) => queue.close()));
    },
  };
}

/**
 * Adds jobs and takes them into admission in one transaction: nobody sees a job that admission has not spoken on, and a
 * process that dies on the way leaves nothing.
 */
async function addAndEnter(queue: Queue, jobs: readonly CallJob[], enter: string[], tag: string): Promise<void> {
  const client = await queue.getBackend().client;
  const transaction = client.multi();
  for (const { name, data, opts } of jobs.map(toBullJob)) {
    void new Job(queue, name, data, opts, opts.jobId).addJob(transaction);
  }
  void transaction.runCommand(enterScript.name, [1, tag, ...enter]);
  const results = (await transaction.exec()) ?? [];
  const failed = results.map(([error]) => error).find((error) => error !== null);
  if (!failed) return;
  await Promise.all(jobs.map(({ envelope }) => queue.remove(envelope.key)));
  throw failed;
}

/** Options are few, as Redis decodes and encodes each of them for every job; what all jobs share, the worker sets. */
const toBullJob = ({ envelope, carrier }: CallJob) => ({
  name: envelope.tool.name,
  data: envelope,
  opts: { jobId: envelope.key, ...(carrier === undefined ? {} : { telemetry: { metadata: carrier } }) },
});
