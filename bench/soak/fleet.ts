import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { environmentWith } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { startProcesses, type ServingProcess } from '../../packages/cli/src/processes.ts';
import { tools } from './script.ts';

/** Times that let what has died be found after four seconds. */
const profile = {
  CALLYARD_LOG_LEVEL: 'error',
  CALLYARD_LOCK_MS: '3000',
  CALLYARD_STALLED_CHECK_MS: '500',
  CALLYARD_UNSERVED_MS: '60000',
};

const scripts = ['./dispatcher.ts', './worker.ts', './dispatcher.ts', './worker.ts'];

/** Two dispatchers and two workers, each a process of its own, and one dispatcher here that only submits. */
export interface SoakFleet {
  dispatcher: Dispatcher;
  /** those that serve; the place of one that starts is empty */
  readonly processes: (ServingProcess | undefined)[];
  /** Starts another in the place of one that was harmed. */
  replace(at: number): Promise<void>;
  stop(): Promise<void>;
}

export async function startSoakFleet(redisUrl: string, prefix: string): Promise<SoakFleet> {
  const env = environmentWith({ REDIS_URL: redisUrl, CALLYARD_PREFIX: prefix, ...profile });
  const start = async (script: string) =>
    (await startProcesses(1, { script: new URL(script, import.meta.url), args: [], env }))[0];
  const processes = await Promise.all(scripts.map(start));
  const log = createLogger({ name: 'soak', level: 'silent' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, maxRuns: 0, unservedMs: 60_000 });
  await dispatcher.waitForTools(tools);
  return {
    dispatcher,
    processes,
    async replace(at) {
      processes[at] = undefined;
      processes[at] = await start(scripts[at] ?? '');
    },
    async stop() {
      await dispatcher.close();
      for (const one of processes) one?.process.kill('SIGKILL');
    },
  };
}
