import { fileURLToPath } from 'node:url';
import { environmentWith, type DispatcherConfig } from '@callyard/shared/config';
import { startLocalRedis } from '../local-redis/index.ts';
import { startEach, stopProcesses } from '../processes.ts';
import type { AtEnd } from '../with-started.ts';

const main = new URL('../main.ts', import.meta.url);
const toolsFolder = fileURLToPath(new URL('../../../../examples/tools', import.meta.url));
const modelModule = fileURLToPath(new URL('./models.ts', import.meta.url));

/** A Redis, two workers and a dispatcher for durable runs, for the time of one command; resolves with the URL of the Redis. */
export async function startOwnFleet(
  config: DispatcherConfig,
  log: (line: string) => void,
  atEnd: AtEnd,
): Promise<string> {
  const redis = await startLocalRedis({ log });
  atEnd(() => redis.stop());
  const worker = ['worker', '--tools', toolsFolder];
  const dispatcher = ['dispatcher', '--model-module', modelModule];
  const processes = await startEach(
    [worker, worker, dispatcher].map((args, i) => {
      const port = String(portOf(config, i + 1));
      const env = { REDIS_URL: redis.url, ...keptAs(config), CALLYARD_METRICS_PORT: port };
      return { script: main, args, env: environmentWith(env) };
    }),
  );
  atEnd(() => stopProcesses(processes));
  log(`Processes: ${processes.map(({ id }) => id).join(', ')}`);
  if (config.metricsPort > 0) log(`Metrics: ports ${portOf(config, 0)} to ${portOf(config, 3)}, path /metrics`);
  return redis.url;
}

/** One after the other from that of this process on; 0 is none for all. */
const portOf = ({ metricsPort }: DispatcherConfig, nth: number): number => (metricsPort === 0 ? 0 : metricsPort + nth);

const keptAs = ({ ledgerTtlMs, runKeepMs }: DispatcherConfig) => ({
  CALLYARD_LEDGER_TTL_MS: String(ledgerTtlMs),
  CALLYARD_RUN_KEEP_MS: String(runKeepMs),
});
