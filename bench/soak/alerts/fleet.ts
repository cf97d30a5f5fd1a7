import { fileURLToPath } from 'node:url';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { once } from 'node:events';
import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { environmentWith } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { createMixture } from '../../../packages/cli/src/load/mixture.ts';
import { startProcesses, stopProcesses, type ServingProcess } from '../../../packages/cli/src/processes.ts';
import { freePort } from '../../../test/support/scrape.ts';
import type { Prometheus } from './prometheus.ts';

const main = new URL('../../../packages/cli/src/main.ts', import.meta.url);
const path = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const serve = {
  worker: ['worker', '--tools', path('../../../examples/tools'), path('./tools.ts')],
  dispatcher: ['dispatcher', '--model-module', path('./models.ts')],
};
export const slots = 20;

/** Locks are short, so that the dead are found in seconds. A run that were parked would wait on for a worker. */
const profile = {
  CALLYARD_LOG_LEVEL: 'error',
  CALLYARD_CONCURRENCY: String(slots),
  CALLYARD_LOCK_MS: '3000',
  CALLYARD_STALLED_CHECK_MS: '500',
  CALLYARD_UNSERVED_MS: '15000',
  CALLYARD_PARK_AFTER_MS: '60000',
};

interface Member extends ServingProcess {
  port: number;
}

/** Workers and dispatchers as processes that show metrics, and a dispatcher here that asks. */
export interface AlertFleet {
  dispatcher: Dispatcher;
  readonly workers: Member[];
  readonly dispatchers: Member[];
  start(kind: 'worker' | 'dispatcher'): Promise<void>;
  /** Kills one with SIGKILL; Prometheus goes on to ask for it, until `forget`. */
  kill(member: Member): Promise<void>;
  /** Prometheus is told of those only that live. */
  forget(): void;
  stop(): Promise<void>;
}

export async function startAlertFleet(redisUrl: string, prometheus: Prometheus): Promise<AlertFleet> {
  const prefix = `soak-alerts-${process.pid}`;
  const collector = await hungCollector();
  const OTEL_EXPORTER_OTLP_ENDPOINT = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;
  const members = { worker: [] as Member[], dispatcher: [] as Member[] };
  const CALLYARD_PRICES_FILE = path('./prices.json');
  const env = {
    ...profile,
    CALLYARD_PRICES_FILE,
    REDIS_URL: redisUrl,
    CALLYARD_PREFIX: prefix,
    OTEL_EXPORTER_OTLP_ENDPOINT,
  };
  const forget = (): void => {
    for (const kind of ['worker', 'dispatcher'] as const)
      prometheus.setTargets(
        kind,
        members[kind].map(({ port }) => port),
      );
  };
  const fleet = {
    workers: members.worker,
    dispatchers: members.dispatcher,
    forget,
    async start(kind: 'worker' | 'dispatcher') {
      const port = await freePort();
      const own = environmentWith({ ...env, CALLYARD_METRICS_PORT: String(port) });
      const started = await startProcesses(1, { script: main, args: serve[kind], env: own });
      members[kind].push(...started.map((one) => ({ ...one, port })));
      forget();
    },
    async kill(member: Member) {
      for (const all of [members.worker, members.dispatcher])
        if (all.includes(member)) all.splice(all.indexOf(member), 1);
      const exited = once(member.process, 'exit');
      member.process.kill('SIGKILL');
      await exited;
    },
  };
  await Promise.all([fleet.start('worker'), fleet.start('worker'), fleet.start('dispatcher')]);
  const { limits } = createMixture(100);
  const log = createLogger({ name: 'soak', level: 'silent' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, limits, maxRuns: 0, unservedMs: 15_000 });
  await dispatcher.waitForTools(['calculate', 'failing', 'slow', 'computing']);
  return {
    ...fleet,
    dispatcher,
    async stop() {
      await dispatcher.close();
      await stopProcesses([...members.worker, ...members.dispatcher]);
      collector.close();
    },
  };
}

/** Takes connections, and never answers. */
async function hungCollector(): Promise<Server> {
  const server = createServer((socket) => void socket.on('error', () => {}).resume());
  server.unref();
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return server;
}
