import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { createAudit } from '@callyard/shared/audit';
import { joinCatalog, poolOf, servedSince, type Membership, type WorkerEntry } from '@callyard/shared/catalog';
import { startClock } from '@callyard/shared/clock';
import { configDefaults, type WorkerConfig } from '@callyard/shared/config';
import { deadLetterTtlMs } from '@callyard/shared/dead-jobs';
import { doneWithin } from '@callyard/shared/in-time';
import { JobWorker } from '@callyard/shared/job-worker';
import { createLogger } from '@callyard/shared/log';
import { createNames } from '@callyard/shared/names';
import { connectRedis, openRedis, type Redis } from '@callyard/shared/redis';
import { manifestHash, type Tool } from '@callyard/shared/tool';
import { createToolSet } from '@callyard/shared/tool-set';
import type { Logger } from 'pino';
import { Interruption, type WorkerContext } from './attempt.ts';
import { checkFallbacks } from './fallback-tools.ts';
import { watchHeldJobs, type HeldJobs } from './held-jobs.ts';
import { stopIsolated } from './isolate.ts';
import { processJob } from './process-job.ts';
import { watchSlots } from './measured.ts';
import { startPump, type Pump } from './pump.ts';
import { watchStuckHandlers } from './stuck.ts';
import { watchUnwanted } from './unwanted.ts';
import { createContext } from './worker-context.ts';

/** Everything has the default of shared/config.ts; only the tools are needed. */
export interface WorkerOptions extends Partial<WorkerConfig> {
  tools: readonly Tool[];
  /** default: JSON lines on standard output */
  log?: Logger;
}

export interface Worker {
  readonly id: string;
  /** the queue it serves, named after its tools */
  readonly pool: string;
  /** resolves with the reason once it has stopped; `stuck` asks for a replacement of the process */
  readonly stopped: Promise<'closed' | 'stuck'>;
  /** Whether it is in the catalog, and so is sent calls; rejects or waits where Redis does not answer. */
  isReady(): Promise<boolean>;
  /** Leaves the catalog, lets running calls end for `shutdownGraceMs`, then aborts them and hands them back. */
  close(): Promise<void>;
}

/**
 * Starts a worker for these tools. Rejects with a clear message when Redis cannot be reached or evicts, or when a live
 * worker serves one of the versions with another schema.
 */
export async function createWorker({ tools, log: ownLog, ...options }: WorkerOptions): Promise<Worker> {
  const config = { ...configDefaults('worker'), ...options };
  const toolSet = createToolSet(tools);
  checkFallbacks(tools, toolSet);
  const entry = describeWorker(tools, config.concurrency);
  const log = (ownLog ?? createLogger({ name: 'callyard-worker', level: config.logLevel })).child({ worker: entry.id });
  const audit = createAudit({ file: config.auditFile, log });
  const names = createNames(config.prefix);
  const redis = await openRedis({ url: config.redisUrl, name: `callyard-worker:${entry.id}`, log });
  const subscriber = connectRedis({ url: config.redisUrl, name: `callyard-worker:${entry.id}:news`, log });
  const clock = await startClock(redis);
  const stuck = watchStuckHandlers(config.maxStuck, (stuckTools) => {
    log.error(
      { event: 'worker.stuck', tools: stuckTools },
      'too many stuck handlers; this worker stops to be replaced',
    );
    void stop('stuck');
  });
  const context = createContext({ tools, toolSet, entry, config, redis, names, clock, log, audit, stuck });
  const held = watchHeldJobs(config.lockMs);
  const stopWatching = watchSlots(entry, held);
  const bull = fetchJobs(config, entry, redis, held, context);

  const { promise: stopped, resolve: reportStopped } = Promise.withResolvers<'closed' | 'stuck'>();
  let membership: Membership | undefined;
  let pump: Pump | undefined;
  let stopping: Promise<void> | undefined;
  const stop = (reason: 'closed' | 'stuck'): Promise<void> => {
    stopping ??= shutDown({ config, context, membership, pump, held, bull, redis, subscriber }).finally(() => {
      stopWatching();
      reportStopped(reason);
    });
    return stopping;
  };

  try {
    const onError = (error: unknown) =>
      log.warn({ event: 'worker.heartbeat_failed', err: error }, 'a heartbeat could not be written');
    const manifests = tools.map(({ manifest }) => manifest);
    const { heartbeatMs } = config;
    entry.startedAt = clock.now(); // the clock on which calls are enqueued
    membership = await joinCatalog({ redis, names, worker: entry, manifests, heartbeatMs, onError });
    context.served.since = await servedSince(redis, names, entry);
    pump = await startPump({ config, subscriber, names, context });
    const onDrain = (asked: string, by: string) => {
      if (asked !== entry.id || stopping) return;
      audit.write({ event: 'worker.drain', decision: 'done', by }, 'an operator had this worker stop');
      void stop('closed');
    };
    const { telling } = context;
    const unwanted = await watchUnwanted({ held, redis, subscriber, names, telling, onDrain, log });
    bull.on('locksRenewed', ({ jobIds }) => unwanted.look(jobIds));
  } catch (error) {
    await stop('closed');
    throw error;
  }
  bull.run().catch((error: Error) => bull.emit('error', error));
  log.info({ event: 'worker.started', pool: entry.pool, slots: entry.slots, tools: tools.length }, 'serving');
  const listed = membership;
  const isReady = async () => stopping === undefined && (await listed.isListed());
  return { id: entry.id, pool: entry.pool, stopped, isReady, close: () => stop('closed') };
}

interface RunningWorker {
  config: WorkerConfig;
  context: WorkerContext;
  /** absent where the catalog refused it */
  membership: Membership | undefined;
  pump: Pump | undefined;
  held: HeldJobs;
  bull: JobWorker;
  redis: Redis;
  subscriber: Redis;
}

/** Out of the catalog first, so that nobody sends more; then the jobs; the connection last. */
async function shutDown({
  config,
  context,
  membership,
  pump,
  held,
  bull,
  redis,
  subscriber,
}: RunningWorker): Promise<void> {
  const { log, clock } = context;
  log.info({ event: 'worker.stopping', calls: held.count }, 'no more calls are taken');
  await doneWithin(maxGoodbyeMs, sayGoodbye(membership, pump, log));
  held.close();
  await bull.pause(true);
  await letJobsEnd(held, config);
  await bull.closeWithin(maxCloseMs, held.count > 0);
  stopIsolated();
  held.stop();
  await context.tally.stop();
  clock.stop();
  subscriber.disconnect();
  redis.disconnect();
  log.info({ event: 'worker.stopped', calls: held.count }, 'stopped');
}

/** With Redis out of reach nobody is told; that this worker is gone is known anyway after three missed heartbeats. */
const maxGoodbyeMs = 2_000;

async function sayGoodbye(membership: Membership | undefined, pump: Pump | undefined, log: Logger): Promise<void> {
  await membership
    ?.leave()
    .catch((error: unknown) => log.warn({ event: 'worker.not_left', err: error }, 'could not leave the catalog'));
  await pump?.stop();
}

/** What is fetched at the last moment takes a round trip; what took longer is found by others when its lock ends. */
const maxCloseMs = 1_000;

function describeWorker(tools: readonly Tool[], slots: number): WorkerEntry {
  return {
    id: `${hostname().split('.', 1)[0]}-${process.pid}-${randomBytes(2).toString('hex')}`,
    pool: poolOf(tools.map(({ manifest }) => manifestHash(manifest))),
    slots,
    host: hostname(),
    pid: process.pid,
    startedAt: Date.now(),
  };
}

/** BullMQ's part: fetch jobs, keep their locks, find those of dead workers. */
function fetchJobs(
  config: WorkerConfig,
  entry: WorkerEntry,
  connection: Redis,
  held: HeldJobs,
  context: WorkerContext,
): JobWorker {
  const names = createNames(config.prefix);
  const bull = new JobWorker(
    names.queue(entry.pool),
    (job, token = '') => processJob(job, token, entry.pool, held, context),
    {
      connection,
      prefix: names.bullPrefix,
      name: entry.id,
      autorun: false,
      concurrency: config.concurrency,
      lockDuration: config.lockMs,
      stalledInterval: config.stalledCheckMs,
      // Done calls live in the ledger; failed jobs are the dead letters.
      removeOnFail: { age: deadLetterTtlMs / 1_000, count: 10_000 },
    },
  );
  bull.on('locksRenewed', ({ jobIds }) => held.renewed(jobIds));
  bull.on('lockRenewalFailed', (jobIds) => held.lost(jobIds));
  bull.onFault((error) => context.log.warn({ event: 'worker.bullmq', reason: error.message }, 'BullMQ reported'));
  return bull;
}

/** Running calls get their grace, then are aborted, which hands them back; stuck ones are left behind. */
async function letJobsEnd(held: HeldJobs, { shutdownGraceMs, stuckAfterMs }: WorkerConfig): Promise<void> {
  if (await doneWithin(shutdownGraceMs, held.idle())) return;
  held.abortAll(new Interruption('shutdown'));
  await doneWithin(stuckAfterMs + 1_000, held.idle());
}
