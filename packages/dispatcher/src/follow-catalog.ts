import type { Redis } from '@callyard/shared/redis';
import type { Logger } from 'pino';
import type { LiveTools } from './live-tools.ts';

/** Reads the catalog at every announcement, and now and then for those who died without one. */
export async function followCatalog(
  live: LiveTools,
  subscriber: Redis,
  channel: string,
  everyMs: number,
  log: Logger,
): Promise<() => void> {
  const refresh = () => {
    live
      .refresh()
      .catch((error: unknown) => log.warn({ event: 'catalog.unread', err: error }, 'the catalog could not be read'));
  };
  subscriber.on('message', (from: string) => {
    if (from === channel) refresh();
  });
  await subscriber.subscribe(channel);
  await live.refresh();
  const timer = setInterval(refresh, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
