import { onTestFinished } from 'vitest';
import { startProcesses, type ServingProcess } from '../../packages/cli/src/processes.ts';
import { environmentWith } from '@callyard/shared/config';
import type { Callyard } from './setup.ts';

const main = new URL('../../packages/cli/src/main.ts', import.meta.url);

/** Recovery in tenths of a second, where the default profile takes seconds. */
const quickProfile = {
  CALLYARD_LOCK_MS: '1000',
  CALLYARD_STALLED_CHECK_MS: '300',
  CALLYARD_HEARTBEAT_MS: '300',
  CALLYARD_SHUTDOWN_GRACE_MS: '200',
  CALLYARD_STUCK_AFTER_MS: '200',
};

/** Where nobody is to die: one that stands still for a moment keeps its calls, and its place in the catalog. */
export const steady = { CALLYARD_LOCK_MS: '30000', CALLYARD_HEARTBEAT_MS: '1000' };

/** Worker processes as `callyard worker` starts them, ended with the test. `tools` is a module beside this one. */
export async function workerProcesses(
  yard: Callyard,
  count: number,
  settings: Record<string, string> = {},
  tools = './process-tools.ts',
): Promise<ServingProcess[]> {
  const own = { REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix, ...quickProfile, ...settings };
  const workers = await startProcesses(count, {
    script: main,
    args: ['worker', '--tools', new URL(tools, import.meta.url).pathname],
    env: environmentWith(own),
  });
  onTestFinished(() => {
    for (const { process: child } of workers) child.kill('SIGKILL');
  });
  return workers;
}

/** Dispatcher processes that drive durable runs with a played model, see played-model.ts; ended with the test. */
export async function dispatcherProcesses(
  yard: Callyard,
  count: number,
  settings: Record<string, string> = {},
): Promise<ServingProcess[]> {
  const own = { REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix, CALLYARD_SWEEP_MS: '100', ...quickProfile };
  const dispatchers = await startProcesses(count, {
    script: new URL('./run-dispatcher.ts', import.meta.url),
    args: [],
    env: environmentWith({ ...own, CALLYARD_UNSERVED_MS: '5000', ...settings }),
  });
  onTestFinished(() => {
    for (const { process: child } of dispatchers) child.kill('SIGKILL');
  });
  return dispatchers;
}

/** Resolves when the process is gone. */
export function ended({ process: child }: ServingProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve(child.exitCode);
  return new Promise((resolve) => child.once('exit', resolve));
}
