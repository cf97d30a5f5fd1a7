import type { BudgetRule } from '@callyard/shared/budget';
import {
  loadLimitRules,
  readLimitRules,
  type LimitRule,
  type LimitRules,
} from '@callyard/shared/admission/limit-rules';
import { startClock, type Clock } from '@callyard/shared/clock';
import { configDefaults, type DispatcherConfig } from '@callyard/shared/config';
import type { RunNotice } from '@callyard/shared/ledger';
import { createLogger } from '@callyard/shared/log';
import { createNames, type Names } from '@callyard/shared/names';
import { connectRedis, openRedis, type Redis } from '@callyard/shared/redis';
import type { Logger } from 'pino';
import { createApprovals, type Approvals } from './approvals.ts';
import type { LimitOptions } from './call-limits.ts';
import { Calls } from './calls.ts';
import { createDeadLetters, type DeadLetters } from './dead-letters.ts';
import { createNews, type News } from './durable/news.ts';
import { endOverdueRun } from './durable/overdue.ts';
import { watchRunEnds, type RunWaits } from './durable/run-waits.ts';
import { followCatalog } from './follow-catalog.ts';
import { startGather } from './gather.ts';
import { watchLiveTools, type LiveTools } from './live-tools.ts';
import type { Model } from './model.ts';
import type { ChooseTool } from './offer.ts';
import { Runs } from './runs.ts';
import { openStores, type Stores } from './stores.ts';

/** Everything has the default of shared/config.ts. */
export interface DispatcherOptions extends Partial<DispatcherConfig> {
  /** asked by runs that bring none of their own */
  model?: Model;
  /** further ones, which durable runs may ask for by name */
  models?: readonly Model[];
  /** default: those of `limitsFile`, or none beside what tools declare */
  limits?: readonly LimitRule[];
  /** what runs may take; default: those of `limitsFile`, or none */
  budgets?: readonly BudgetRule[];
  /** whether a tool is offered in a turn of any run, beside what the run itself selects; default: all are */
  chooseTools?: ChooseTool;
  /** role → share of its users against those of others; default 1 each */
  weights?: Readonly<Record<string, number>>;
  /** default: JSON lines on standard output */
  log?: Logger;
}

/** What a dispatcher was given. */
interface Settings {
  /** asked by runs that bring none of their own */
  model: Model | undefined;
  /** all of them, by name */
  models: ReadonlyMap<string, Model>;
  config: DispatcherConfig;
  rules: LimitRules;
  chooseTools: ChooseTool | undefined;
  log: Logger;
}

/** A dispatcher's parts, connected to Redis. */
export interface Connected extends Settings, Stores {
  names: Names;
  redis: Redis;
  /** events of runs, as they are told */
  news: News;
  clock: Clock;
  live: LiveTools;
  limits: LimitOptions;
  calls: Calls;
  runWaits: RunWaits;
  approvals: Approvals;
  deadLetters: DeadLetters;
  close(): Promise<void>;
}

export async function connectDispatcher(dispatcher: string, options: DispatcherOptions): Promise<Connected> {
  const settings = readOptions(dispatcher, options);
  const { config, models, log, rules, chooseTools } = settings;
  const names = createNames(config.prefix);
  const redis = await openRedis({ url: config.redisUrl, name: `callyard-dispatcher:${dispatcher}`, log });
  const subscriber = connectRedis({ url: config.redisUrl, name: `callyard-dispatcher:${dispatcher}:notices`, log });
  const clock = await startClock(redis);
  const stores = openStores(redis, names, clock, config);
  const { queues, runsQueue, ledger, store } = stores;
  const endOverdue = (runId: string) => endOverdueRun(runId, { store, ledger, names, clock, config, dispatcher });
  const runWaits = watchRunEnds({ store, dispatcher, sweepMs: config.sweepMs, endOverdue, log });
  let runs: Runs | undefined;
  const onRun = (notice: RunNotice): void => {
    if (notice.is === 'ended') runWaits.onEnded(notice.run);
    else runs?.onNotice(notice);
  };
  const gather = await startGather({ subscriber, names, ledger, dispatcher, sweepMs: config.sweepMs, onRun, log });
  const live = watchLiveTools(redis, names);
  const stopFollowing = await followCatalog(live, subscriber, names.catalogChannel, config.sweepMs, log);
  const limits = { rules, fairShare: config.fairShare, maxArgumentBytes: config.maxArgumentBytes };
  const news = createNews(subscriber);
  const parts = { redis, news, names, ...stores, gather, live, clock, log, dispatcher, limits };
  const calls = new Calls({ ...config, ...parts });
  subscriber.on('ready', () => {
    runWaits.lookAgain();
    runs?.lookAgain();
    calls.endForgotten().catch((error: unknown) => log.warn({ err: error }, 'could not look what Redis has lost'));
  });
  if (models.size > 0 && config.maxRuns > 0) runs = new Runs({ ...parts, config, calls, models, chooseTools });
  return {
    ...settings,
    ...parts,
    runWaits,
    calls,
    approvals: createApprovals(parts, config),
    deadLetters: createDeadLetters(parts, config),
    async close() {
      await runs?.close();
      runWaits.stop();
      stopFollowing();
      calls.stop();
      gather.stop();
      clock.stop();
      await queues.close();
      await runsQueue.close();
      subscriber.disconnect();
      redis.disconnect();
    },
  };
}

function readOptions(dispatcher: string, options: DispatcherOptions): Settings {
  const { model, models = [], log, limits, budgets, weights, chooseTools, ...given } = options;
  const config: DispatcherConfig = { ...configDefaults('dispatcher'), ...given };
  const file = config.limitsFile === '' ? {} : loadLimitRules(config.limitsFile);
  const own = { ...(limits && { limits }), ...(budgets && { budgets }), ...(weights && { weights }) };
  return {
    model,
    models: new Map([...(model ? [model] : []), ...models].map((one) => [one.name, one])),
    config,
    rules: readLimitRules({ ...file, ...own }),
    chooseTools,
    log: (log ?? createLogger({ name: 'callyard-dispatcher', level: config.logLevel })).child({ dispatcher }),
  };
}
