import { loadConfig } from '@callyard/shared/config';
import { loadModels } from './models.ts';
import { serveRuns } from './serve.ts';
import { UsageError } from './usage-error.ts';

/** `callyard dispatcher`: drives durable runs until a signal comes, then hands over those it holds. */
export async function dispatcherCommand({ modelModule }: { modelModule?: string }): Promise<void> {
  const config = loadConfig('dispatcher');
  if (config.maxRuns === 0) throw new UsageError('CALLYARD_MAX_RUNS is 0: this dispatcher would drive no run.');
  const models = await loadModels(modelModule);
  if (models.length === 0) {
    throw new UsageError(
      'no model to ask. Set OPENAI_API_KEY (and OPENAI_BASE_URL, CALLYARD_MODEL where they differ), ' +
        'or give --model-module PATH, a module that exports one.',
    );
  }
  await serveRuns(config, models);
}
