import { createDispatcher, type Dispatcher, type Model } from '@callyard/dispatcher';
import { loadConfig, type DispatcherConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { startTracing } from './telemetry.ts';

/** A dispatcher for the time of one command. With models it drives durable runs meanwhile, and hands them over. */
export async function withDispatcher<T>(
  name: string,
  work: (dispatcher: Dispatcher, config: DispatcherConfig) => Promise<T>,
  models: readonly Model[] = [],
): Promise<T> {
  const config = loadConfig('dispatcher');
  const log = createLogger({ name, level: 'silent' });
  const dispatcher = await createDispatcher({ ...config, models, log });
  const tracing = await startTracing(name, config);
  try {
    return await work(dispatcher, config);
  } finally {
    await dispatcher.close();
    await tracing.shutdown();
  }
}
