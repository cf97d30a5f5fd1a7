import { randomUUID } from 'node:crypto';
import { Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { callArguments, callsPerTurn, workerSlots, type RunTurn } from './variants.ts';

const connect = (url: string) => new Redis(url, { maxRetriesPerRequest: null });

const turnOfJobs = () =>
  Array.from({ length: callsPerTurn }, () => ({
    name: 'echo',
    data: callArguments,
    opts: { jobId: randomUUID(), removeOnComplete: true, removeOnFail: 1_000 },
  }));

/** A worker that does nothing: what plain BullMQ costs. */
export async function startPlainWorker(url: string, queue: string): Promise<void> {
  const worker = new Worker(queue, async (job) => job.data as unknown, {
    connection: connect(url),
    concurrency: workerSlots,
  });
  await worker.waitUntilReady();
}

/** Plain BullMQ, no gather: the turn is over when its jobs are enqueued. */
export async function plainTurns(url: string, queueName: string): Promise<RunTurn> {
  const queue = new Queue(queueName, { connection: connect(url) });
  await queue.waitUntilReady();
  return async () => {
    await queue.addBulk(turnOfJobs());
  };
}

/** What a BullMQ user would write: addBulk, and one QueueEvents listener for each dispatcher. */
export async function queueEventsTurns(url: string, queueName: string): Promise<RunTurn> {
  const queue = new Queue(queueName, { connection: connect(url) });
  const events = new QueueEvents(queueName, { connection: connect(url) });
  const waiting = new Map<string, (value: unknown) => void>();
  events.on('completed', ({ jobId, returnvalue }) => {
    waiting.get(jobId)?.(returnvalue);
    waiting.delete(jobId);
  });
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);
  return async () => {
    const jobs = turnOfJobs();
    const results = jobs.map(({ opts }) => new Promise((resolve) => waiting.set(opts.jobId, resolve)));
    await queue.addBulk(jobs);
    await Promise.all(results);
  };
}
