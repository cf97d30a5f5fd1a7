import { onTestFinished } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import { startProcesses, type ServingProcess } from '../../packages/cli/src/processes.ts';
import type { Callyard } from './setup.ts';

const main = new URL('../../packages/cli/src/main.ts', import.meta.url);

/** A process as `callyard dispatcher` starts it, ended with the test. */
export async function dispatcherProcess(
  yard: Callyard,
  settings: Record<string, string> = {},
  args: readonly string[] = [],
): Promise<ServingProcess> {
  const own = { REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix, OPENAI_API_KEY: '' };
  const env = environmentWith({ ...own, ...settings });
  const [started] = await startProcesses(1, { script: main, args: ['dispatcher', ...args], env });
  if (!started) throw new Error('no process was started');
  onTestFinished(() => void started.process.kill('SIGKILL'));
  return started;
}
