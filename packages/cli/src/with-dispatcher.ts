import { createDispatcher, type Dispatcher, type Model } from '@callyard/dispatcher';
import { loadConfig, type DispatcherConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { startObserving } from './telemetry.ts';

export interface DispatcherUse {
  /** calls or runs are sent, which is traced and measured; default: the command only looks */
  sends?: boolean;
  /** with some it drives durable runs meanwhile, and hands them over; default: none */
  models?: readonly Model[];
}

/** A dispatcher for the time of one command. */
export async function withDispatcher<T>(
  name: string,
  work: (dispatcher: Dispatcher, config: DispatcherConfig) => Promise<T>,
  { sends = false, models = [] }: DispatcherUse = {},
): Promise<T> {
  const config = loadConfig('dispatcher');
  const log = createLogger({ name, level: 'silent' });
  const dispatcher = await createDispatcher({ ...config, models, log });
  const observed = sends ? await startObserving(name, config, false) : undefined;
  try {
    return await work(dispatcher, config);
  } finally {
    await dispatcher.close();
    await observed?.shutdown();
  }
}
