import { Job, Queue, type IRedisTransaction } from 'bullmq';
import { admissionCall, type AdmissionCall } from './admission/admission-call.ts';
import { createAdmission, enterArguments, enterScript } from './admission/admission.ts';
import { batchByTick } from './batch.ts';
import type { Envelope } from './call.ts';
import { count } from './metrics.ts';
import type { Names } from './names.ts';
import { connected, scriptInTransaction, type Redis } from './redis.ts';
import { closeGate, gateScripts, openGate, readGate, type GateAnswer } from './runs/gate.ts';

export interface CallJob {
  envelope: Envelope;
  /** the trace context that travels with the job, if there is a trace */
  carrier: string | undefined;
  /** of a durable run: the hold under which it may be enqueued */
  fence?: string | undefined;
}

/** What became of a job that was to be added: of a durable run it may be too late for it. */
export type Added = 'added' | GateAnswer;

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
  /**
   * Adds a job; the key is its id, so a second add of a key that is there changes nothing. Rejects where the connection
   * was lost on the way: then it may have been added, and run.
   */
  add(pool: string, job: CallJob): Promise<Added>;
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

/**
 * `adding` is the connection of inserts, closed with the queues: one that repeats nothing, see `connectUnrepeated`. Sent
 * again after a lost connection, an insert would find the calls it had inserted gone, and run them once more.
 */
export function createCallQueues(redis: Redis, names: Names, adding: Redis = redis): CallQueues {
  const pools = new Map<string, PoolQueue>();
  const admission = createAdmission(redis, names);
  for (const script of [enterScript, ...gateScripts]) {
    script.define(redis);
    script.define(adding);
  }

  const open = (pool: string): PoolQueue => {
    const opened = { queue: openQueue(names.queue(pool), redis, names), add: addingTo(pool, adding, names) };
    pools.set(pool, opened);
    return opened;
  };
  const at = (pool: string) => pools.get(pool) ?? open(pool);

  return {
    async add(pool, job) {
      const added = await at(pool).add(job);
      if (added === 'added') countSent(pool, names);
      return added;
    },
    async addMarked(pool, job, { key, was, next, ttlMs }) {
      const { queue } = at(pool);
      await redis.watch(key);
      if ((await redis.get(key)) !== was) {
        await redis.unwatch();
        return false;
      }
      const admitted = admissionCall(job.envelope, pool);
      const results = await transact(queue, [job], (transaction) => {
        if (admitted) enter(transaction, names, pool, [admitted], 'new');
        transaction.runCommand('set', [key, next, 'PX', ttlMs]);
      });
      if (results) countSent(pool, names);
      return results !== undefined;
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
      if (adding !== redis) adding.disconnect();
    },
  };
}

const countSent = (pool: string, names: Names): void =>
  count('messaging.client.sent.messages', { 'messaging.destination.name': names.queue(pool) });

interface PoolQueue {
  queue: Queue;
  add: (job: CallJob) => Promise<Added>;
}

function addingTo(pool: string, connection: Redis, names: Names): PoolQueue['add'] {
  let queue: Queue | undefined;
  const batched = batchByTick(async (jobs: CallJob[]) => {
    await connected(connection);
    queue ??= openQueue(names.queue(pool), connection, names);
    return addCalls(queue, pool, jobs, names);
  }, maxBulk);
  return (job) => batched(job).done;
}

function openQueue(name: string, connection: Redis, { bullPrefix: prefix }: Names): Queue {
  const queue = new Queue(name, { connection, prefix, streams: { events: { maxLen: 1_000 } } });
  queue.on('error', () => {}); // the connection logs its own losses
  return queue;
}

/** Where there is something to decide, by admission or of durable runs, it is decided with the insert. */
async function addCalls(queue: Queue, pool: string, jobs: readonly CallJob[], names: Names): Promise<Added[]> {
  const admitted = jobs.flatMap(({ envelope }) => admissionCall(envelope, pool) ?? []);
  const gated = jobs.filter(({ fence }) => fence !== undefined);
  if (gated.length > 0) return addGated(queue, pool, jobs, { gated, admitted }, names);
  if (admitted.length === 0) await queue.addBulk(jobs.map(toBullJob));
  else await transact(queue, jobs, (transaction) => enter(transaction, names, pool, admitted, 'new'));
  return jobs.map(() => 'added');
}

async function addGated(
  queue: Queue,
  pool: string,
  jobs: readonly CallJob[],
  { gated, admitted }: { gated: readonly CallJob[]; admitted: readonly AdmissionCall[] },
  names: Names,
): Promise<Added[]> {
  const results = await transact(
    queue,
    jobs,
    (transaction) => {
      if (admitted.length > 0) enter(transaction, names, pool, admitted, 'gated');
      closeGate(transaction, names, pool);
    },
    (transaction) => openGate(transaction, names, pool, gated),
  );
  const refused = readGate(gated, results?.[0] ?? []);
  return jobs.map(({ envelope }) => refused.get(envelope.runId) ?? 'added');
}

function enter(
  transaction: IRedisTransaction,
  { tag }: Names,
  pool: string,
  calls: readonly AdmissionCall[],
  how: 'new' | 'gated',
): void {
  void transaction.runCommand(enterScript.name, [1, tag, ...enterArguments(pool, calls, how)]);
}

/**
 * Adds jobs and does what belongs to it in one transaction: nobody sees a job that admission has not spoken on, and a
 * process that dies on the way leaves nothing. Undefined where a key that is watched was written.
 */
async function transact(
  queue: Queue,
  jobs: readonly CallJob[],
  after: (transaction: IRedisTransaction) => void,
  before: (transaction: IRedisTransaction) => void = () => {},
): Promise<unknown[] | undefined> {
  const client = await queue.getBackend().client;
  const transaction = client.multi();
  before(transaction);
  for (const { name, data, opts } of jobs.map(toBullJob)) {
    void new Job(queue, name, data, opts, opts.jobId).addJob(transaction);
  }
  after(transaction);
  const results = await transaction.exec();
  if (!results) return undefined;
  const failed = results.map(([error]) => error).find((error) => error !== null);
  if (!failed) return results.map(([, result]) => result);
  await Promise.all(jobs.map(({ envelope }) => queue.remove(envelope.key)));
  throw failed;
}

/** Options are few, as Redis decodes and encodes each of them for every job; what all jobs share, the worker sets. */
const toBullJob = ({ envelope, carrier }: CallJob) => ({
  name: envelope.tool.name,
  data: envelope,
  opts: { jobId: envelope.key, ...(carrier === undefined ? {} : { telemetry: { metadata: carrier } }) },
});

/** What becomes of a run that is submitted: see runs/submit-1.lua. */
export type SubmitAnswer =
  | { kind: 'created' }
  | { kind: 'known'; runId: string; body: string; carrier: string | undefined }
  | { kind: 'busy'; runId: string }
  | { kind: 'full'; bytes: number };

export interface SubmitWrite {
  runId: string;
  /** where the run of the client's key is found, if it has one */
  ofKey: string | undefined;
  /** a dispatcher that has no such model leaves the run to others */
  model: string;
  ttlMs: number;
  deadlineAt: number;
  /** the key of the conversation within those of its kind, where there is one */
  conversation: string | undefined;
  onBusy: 'wait' | 'refuse';
  maxConversationBytes: number;
  /** of its messages */
  bytes: number;
  fields: Readonly<Record<string, string>>;
}

/** The queue of durable runs. */
export interface RunsQueue {
  /** Takes a run in, with its job, or not at all. */
  submit(write: SubmitWrite): Promise<SubmitAnswer>;
  close(): Promise<void>;
}

const submitScript = scriptInTransaction('./runs/submit-1.lua', import.meta.url);

export function createRunsQueue(redis: Redis, names: Names): RunsQueue {
  submitScript.define(redis);
  const queue = openQueue(names.runsQueue, redis, names);
  return {
    async submit({ runId, model, fields, ...write }) {
      const client = await queue.getBackend().client;
      const transaction = client.multi();
      void new Job(queue, 'run', { model }, { jobId: runId }, runId).addJob(transaction);
      const { ttlMs, conversation = '', onBusy, maxConversationBytes, bytes, deadlineAt, ofKey = '' } = write;
      const about = [runId, ttlMs, conversation, onBusy, maxConversationBytes, bytes, deadlineAt, ofKey];
      void transaction.runCommand(submitScript.name, [1, names.tag, ...about, ...Object.entries(fields).flat()]);
      const [error, answer] = (await transaction.exec())?.at(-1) ?? [new Error('no answer')];
      if (error) throw error;
      return readSubmit(answer as SubmitReply);
    },
    close: () => queue.close(),
  };
}

type SubmitReply = [SubmitAnswer['kind'], string | number, string, string];

function readSubmit([kind, detail, body, carrier]: SubmitReply): SubmitAnswer {
  if (kind === 'known') return { kind, runId: String(detail), body, carrier: carrier || undefined };
  if (kind === 'busy') return { kind, runId: String(detail) };
  return kind === 'full' ? { kind, bytes: Number(detail) } : { kind: 'created' };
}
