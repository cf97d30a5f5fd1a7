import { loadConfig } from '@callyard/shared/config';
import { loadTools } from '@callyard/worker';
import { serve } from './serve.ts';
import { UsageError } from './usage-error.ts';

/** `callyard worker --tools …`: one module that fails to load is named, and the rest serve. */
export async function workerCommand(paths: readonly string[]): Promise<void> {
  const config = loadConfig('worker');
  const { tools, failures } = await loadTools(paths);
  for (const { module, reason } of failures) console.error(`callyard worker: ${module} was left out: ${reason}`);
  if (tools.length === 0) throw new UsageError(`no tool could be loaded from ${paths.join(', ')}`);
  await serve(config, tools);
}
