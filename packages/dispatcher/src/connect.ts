import { startClock, type Clock } from '@callyard/shared/clock';
import { configDefaults, type DispatcherConfig } from '@callyard/shared/config';
import { createAdmission, type Admission } from '@callyard/shared/admission/admission';
import { createLedger } from '@callyard/shared/ledger';
import { createLogger } from '@callyard/shared/log';
import { loadLimitRules, readLimitRules, type LimitRule } from '@callyard/shared/admission/limit-rules';
import { createNames } from '@callyard/shared/names';
import { createCallQueues, type CallQueues } from '@callyard/shared/queue';
import { connectRedis, openRedis } from '@callyard/shared/redis';
import type { Logger } from 'pino';
import type { LimitOptions } from './call-limits.ts';
import { Calls } from './calls.ts';
import { createDeadLetters, type DeadLetters } from './dead-letters.ts';
import { startGather } from './gather.ts';
import { watchLiveTools, type LiveTools } from './live-tools.ts';
import type { Model } from './model.ts';

/** Everything has the default of shared/config.ts. */
export interface DispatcherOptions extends Partial<DispatcherConfig> {
  /** asked by runs that bring none of their own */
  model?: Model;
  /** default: those of `limitsFile`, or none beside what tools declare */
  limits?: readonly LimitRule[];
  /** role → share of its users against those of others; default 1 each */
  weights?: Readonly<Record<string, number>>;
  /** default: JSON lines on standard output */
  log?: Logger;
}

/** A dispatcher's parts, connected to Redis. */
export interface Connected {
  /** asked by runs that bring none of their own */
  model: Model | undefined;
  config: DispatcherConfig;
  clock: Clock;
  live: LiveTools;
  queues: CallQueues;
  admission: Admission;
  limits: LimitOptions;
  calls: Calls;
  deadLetters: DeadLetters;
  close(): Promise<void>;
}

export async function connectDispatcher(dispatcher: string, options: DispatcherOptions): Promise<Connected> {
  const { model, log: ownLog, limits: ownLimits, weights: ownWeights, ...given } = options;
  const own = { ...(ownLimits && { limits: ownLimits }), ...(ownWeights && { weights: ownWeights }) };
  const config: DispatcherConfig = { ...configDefaults('dispatcher'), ...given };
  const log = (ownLog ?? createLogger({ name: 'callyard-dispatcher', level: config.logLevel })).child({ dispatcher });
  const file = config.limitsFile === '' ? {} : loadLimitRules(config.limitsFile);
  const rules = readLimitRules({ ...file, ...own });
  const names = createNames(config.prefix);
  const redis = await openRedis({ url: config.redisUrl, name: `callyard-dispatcher:${dispatcher}`, log });
  const subscriber = connectRedis({ url: config.redisUrl, name: `callyard-dispatcher:${dispatcher}:notices`, log });
  const clock = await startClock(redis);
  const queues = createCallQueues(redis, names);
  const ledger = createLedger(redis, names);
  const gather = await startGather({ subscriber, names, ledger, dispatcher, sweepMs: config.sweepMs, log });
  const live = watchLiveTools(redis, names);
  const stopFollowing = await followCatalog(live, subscriber, names.catalogChannel, config.sweepMs, log);
  const limits = { rules, fairShare: config.fairShare, maxArgumentBytes: config.maxArgumentBytes };
  const parts = { redis, names, queues, ledger, gather, live, clock, log, dispatcher, limits };
  const calls = new Calls({ ...config, ...parts });
  return {
    model,
    config,
    clock,
    live,
    queues,
    admission: createAdmission(redis, names),
    limits,
    calls,
    deadLetters: createDeadLetters(parts, config),
    async close() {
      stopFollowing();
      calls.stop();
      gather.stop();
      clock.stop();
      await queues.close();
      subscriber.disconnect();
      redis.disconnect();
    },
  };
}

/** Reads the catalog at every announcement, and now and then for those who died without one. */
async function followCatalog(
  live: LiveTools,
  subscriber: ReturnType<typeof connectRedis>,
  channel: string,
  everyMs: number,
  log: Logger,
): Promise<() => void> {
  const refresh = () => {
    live.refresh().catch((error: unknown) => log.warn({ err: error }, 'the catalog could not be read'));
  };
  subscriber.on('message', (from: string) => {
    if (from === channel) refresh();
  });
  await subscriber.subscribe(channel);
  await live.refresh();
  const timer = setInterval(refresh, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
