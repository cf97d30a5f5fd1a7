import type { BudgetRule } from '@callyard/shared/budget';
import {
  loadLimitRules,
  readLimitRules,
  type LimitRule,
  type LimitRules,
} from '@callyard/shared/admission/limit-rules';
import { createAudit, type Audit } from '@callyard/shared/audit';
import { startClock, type Clock } from '@callyard/shared/clock';
import { configDefaults, type DispatcherConfig } from '@callyard/shared/config';
import type { RunNotice } from '@callyard/shared/ledger';
import { createFleetReader } from '@callyard/shared/fleet';
import { createLogger } from '@callyard/shared/log';
import { createNames, type Names } from '@callyard/shared/names';
import { loadPrices, readPrices, type Prices } from '@callyard/shared/prices';
import { createRedactor } from '@callyard/shared/redact';
import { connectRedis, openRedis, type Redis } from '@callyard/shared/redis';
import { startTally } from '@callyard/shared/tally';
import type { Logger } from 'pino';
import { createApprovals, type Approvals } from './approvals.ts';
import type { LimitOptions } from './call-limits.ts';
import { callLines, type CallLines } from './call-lines.ts';
import { Calls } from './calls.ts';
import { createDeadLetters, type DeadLetters } from './dead-letters.ts';
import { createNews, type News } from './durable/news.ts';
import { endOverdueRun } from './durable/overdue.ts';
import { watchRunEnds, type RunWaits } from './durable/run-waits.ts';
import { watchFleet } from './fleet-gauges.ts';
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
  /** what tokens cost; default: as `pricesFile` says, or unknown */
  prices?: Prices;
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
  prices: Prices | undefined;
  log: Logger;
  audit: Audit;
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

/** How often what a dispatcher has counted for `callyard stats` is written. */
const tallyEveryMs = 5_000;

export async function connectDispatcher(dispatcher: string, options: DispatcherOptions): Promise<Connected> {
  const settings = readOptions(dispatcher, options);
  const { config, models, log, audit, rules, chooseTools, prices } = settings;
  const names = createNames(config.prefix);
  const { redis, subscriber, clock } = await openConnections(dispatcher, config.redisUrl, log);
  const stores = openStores(redis, names, clock, config);
  const { queues, runsQueue, ledger, store } = stores;
  const endOverdue = (runId: string) => endOverdueRun(runId, { store, ledger, names, clock, config, dispatcher });
  const runWaits = watchRunEnds({ store, dispatcher, sweepMs: config.sweepMs, endOverdue, log });
  let runs: Runs | undefined;
  const onRun = (notice: RunNotice): void => {
    if (notice.is === 'ended') runWaits.onEnded(notice.run);
    else runs?.onNotice(notice);
  };
  const { sweepMs } = config;
  const base = { names, ledger, dispatcher, clock, log };
  const gather = await startGather({ ...base, subscriber, sweepMs, onRun });
  const live = watchLiveTools(redis, names, log);
  const stopFollowing = await followCatalog(live, subscriber, names.catalogChannel, config.sweepMs, log);
  const limits = { rules, fairShare: config.fairShare, maxArgumentBytes: config.maxArgumentBytes };
  const news = createNews(subscriber);
  const parts = { redis, news, names, ...stores, gather, live, clock, log, audit, dispatcher, limits };
  const { lines, stopObserving } = observe(config, parts);
  const calls = new Calls({ ...config, ...parts, lines });
  subscriber.on('ready', () => {
    runWaits.lookAgain();
    runs?.lookAgain();
    endForgotten(calls, log);
  });
  if (models.size > 0 && config.maxRuns > 0) runs = new Runs({ ...parts, config, calls, models, chooseTools, prices });
  log.info({ event: 'dispatcher.started', models: [...models.keys()] }, 'connected');
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
      await stopObserving();
      gather.stop();
      clock.stop();
      await queues.close();
      await runsQueue.close();
      for (const connection of [subscriber, redis]) connection.disconnect();
      log.info({ event: 'dispatcher.stopped' }, 'stopped');
    },
  };
}

async function openConnections(dispatcher: string, url: string, log: Logger) {
  const redis = await openRedis({ url, name: `callyard-dispatcher:${dispatcher}`, log });
  const subscriber = connectRedis({ url, name: `callyard-dispatcher:${dispatcher}:notices`, log });
  return { redis, subscriber, clock: await startClock(redis) };
}

/** What tells operators of calls and of the fleet. */
function observe(
  config: DispatcherConfig,
  { redis, names, live, clock, log, audit }: Pick<Connected, 'redis' | 'names' | 'live' | 'clock' | 'log' | 'audit'>,
): { lines: CallLines; stopObserving: () => Promise<void> } {
  const redact = createRedactor({ keys: config.redactKeys });
  const isKnown = (tool: string) => live.find(tool) !== undefined;
  const tally = startTally({ redis, names, clock, everyMs: tallyEveryMs, isKnown, log });
  const stopWatching = watchFleet(createFleetReader(redis, names), log);
  return {
    lines: callLines({ log, audit, redact, logContent: config.logContent }, tally, clock),
    stopObserving() {
      stopWatching();
      return tally.stop();
    },
  };
}

function endForgotten(calls: Calls, log: Logger): void {
  calls
    .endForgotten()
    .catch((error: unknown) =>
      log.warn({ event: 'call.forgotten_unread', err: error }, 'could not look what Redis has lost'),
    );
}

function readOptions(dispatcher: string, options: DispatcherOptions): Settings {
  const { model, models = [], log, limits, budgets, weights, chooseTools, prices, ...given } = options;
  const config: DispatcherConfig = { ...configDefaults('dispatcher'), ...given };
  const file = config.limitsFile === '' ? {} : loadLimitRules(config.limitsFile);
  const own = { ...(limits && { limits }), ...(budgets && { budgets }), ...(weights && { weights }) };
  const ownLog = (log ?? createLogger({ name: 'callyard-dispatcher', level: config.logLevel })).child({ dispatcher });
  return {
    model,
    models: new Map([...(model ? [model] : []), ...models].map((one) => [one.name, one])),
    config,
    rules: readLimitRules({ ...file, ...own }),
    chooseTools,
    prices: prices ? readPrices(prices) : config.pricesFile === '' ? undefined : loadPrices(config.pricesFile),
    log: ownLog,
    audit: createAudit({ file: config.auditFile, log: ownLog }),
  };
}
