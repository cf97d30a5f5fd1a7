import { fileURLToPath } from 'node:url';
import { environmentWith, type DispatcherConfig } from '@callyard/shared/config';
import { startLocalRedis } from '../local-redis/index.ts';
import { startProcesses, stopProcesses } from '../processes.ts';

const main = new URL('../main.ts', import.meta.url);
const toolsFolder = fileURLToPath(new URL('../../../../examples/tools', import.meta.url));
const modelModule = fileURLToPath(new URL('./models.ts', import.meta.url));

export interface OwnFleet {
  redisUrl: string;
  stop(): Promise<void>;
}

/** A Redis, two workers and a dispatcher for durable runs, for the time of one command. */
export async function startOwnFleet(config: DispatcherConfig, log: (line: string) => void): Promise<OwnFleet> {
  const redis = await startLocalRedis({ log });
  const start = async (nth: number, args: string[]) => {
    const env = { REDIS_URL: redis.url, ...keptAs(config), CALLYARD_METRICS_PORT: String(portOf(config, nth)) };
    return startProcesses(1, { script: main, args, env: environmentWith(env) });
  };
  const worker = ['worker', '--tools', toolsFolder];
  const processes = (
    await Promise.all([start(1, worker), start(2, worker), start(3, ['dispatcher', '--model-module', modelModule])])
  ).flat();
  log(`Processes: ${processes.map(({ id }) => id).join(', ')}`);
  if (config.metricsPort > 0) log(`Metrics: ports ${portOf(config, 0)} to ${portOf(config, 3)}, path /metrics`);
  return {
    redisUrl: redis.url,
    async stop() {
      await stopProcesses(processes);
      await redis.stop();
    },
  };
}

/** One after the other from that of this process on; 0 is none for all. */
const portOf = ({ metricsPort }: DispatcherConfig, nth: number): number => (metricsPort === 0 ? 0 : metricsPort + nth);

const keptAs = ({ ledgerTtlMs, runKeepMs }: DispatcherConfig) => ({
  CALLYARD_LEDGER_TTL_MS: String(ledgerTtlMs),
  CALLYARD_RUN_KEEP_MS: String(runKeepMs),
});
