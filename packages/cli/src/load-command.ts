import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { givenRedisUrl, loadConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { startOwnFleet } from './load/fleet.ts';
import { playLoad } from './load/load.ts';
import { createMixture } from './load/mixture.ts';
import { renderTally } from './load/tally.ts';
import { startStatus } from './serve.ts';
import { startObserving } from './telemetry.ts';
import { UsageError } from './usage-error.ts';
import { withStarted } from './with-started.ts';

export interface LoadCommand {
  rate: number;
  minutes?: number;
}

const log = (line: string) => console.log(line);

/** An hour of it would fill Redis with outcomes that nobody reads. */
const keptBriefly = { ledgerTtlMs: 300_000, runKeepMs: 300_000 };

/** `callyard demo --load`: fills a fleet with work, and says what became of it. */
export async function loadCommand({ rate, minutes = Infinity }: LoadCommand): Promise<void> {
  const config = { ...loadConfig('dispatcher'), ...keptBriefly };
  const stop = stopAsked();
  await withStarted(async (atEnd) => {
    const redisUrl = givenRedisUrl() === undefined ? await startOwnFleet(config, log, atEnd) : config.redisUrl;
    if (stop.aborted) return;
    const observed = await startObserving('callyard-load', config, true);
    atEnd(() => observed.shutdown());
    const mixture = createMixture(rate);
    const quiet = createLogger({ name: 'callyard-load', level: 'silent' }); // what it prints is its reports
    const dispatcher = await createDispatcher({ ...config, redisUrl, limits: mixture.limits, log: quiet });
    atEnd(() => dispatcher.close());
    const status = await startStatus(observed, { ...config, ...dispatcher, log: quiet });
    atEnd(() => status?.stop());
    await waitForFleet(dispatcher);
    log(`${rate} calls/s${minutes === Infinity ? '' : ` for ${minutes} min`}; Ctrl-C ends it\n`);
    const startedAt = performance.now();
    const durationMs = minutes * 60_000;
    const all = await playLoad(dispatcher, mixture, { callsPerSecond: rate, durationMs, stop, log });
    log(`\n  all   ${renderTally(all, performance.now() - startedAt, all.asked - all.shed - all.done)}`);
  });
}

async function waitForFleet(dispatcher: Dispatcher): Promise<void> {
  await dispatcher.waitForTools(['calculate', 'count_text', 'time_in_zone'], 15_000).catch(() => {
    throw new UsageError('no worker serves the example tools: callyard worker --tools examples/tools');
  });
}

/** A second signal ends the process at once. */
function stopAsked(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}
