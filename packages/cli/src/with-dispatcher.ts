import { createDispatcher, type Dispatcher, type Model } from '@callyard/dispatcher';
import { loadConfig, type DispatcherConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { startObserving } from './telemetry.ts';

/** A dispatcher for the time of one command. With models it drives durable runs meanwhile, and hands them over. */
export async function withDispatcher<T>(
  name: string,
  work: (dispatcher: Dispatcher, config: DispatcherConfig) => Promise<T>,
  models: readonly Model[] = [],
): Promise<T> {
  const config = loadConfig('dispatcher');
  const log = createLogger({ name, level: 'silent' });
  const dispatcher = await createDispatcher({ ...config, models, log });
  const observed = await startObserving(name, config, false);
  try {
    return await work(dispatcher, config);
  } finally {
    await dispatcher.close();
    await observed.shutdown();
  }
}
