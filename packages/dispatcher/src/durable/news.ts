import type { Redis } from '@callyard/shared/redis';

/** What listens on a connection, by channel: subscribed while somebody does. */
export interface News {
  add(channel: string, onMessage: () => void): Promise<void>;
  remove(channel: string, onMessage: () => void): Promise<void>;
}

export function createNews(subscriber: Redis): News {
  const channels = new Map<string, Set<() => void>>();
  subscriber.on('message', (channel: string) => {
    for (const onMessage of channels.get(channel) ?? []) onMessage();
  });
  return {
    async add(channel, onMessage) {
      channels.set(channel, (channels.get(channel) ?? new Set()).add(onMessage));
      await subscriber.subscribe(channel);
    },
    async remove(channel, onMessage) {
      const left = channels.get(channel);
      left?.delete(onMessage);
      if (left?.size !== 0) return;
      channels.delete(channel);
      if (subscriber.status === 'ready') await subscriber.unsubscribe(channel);
    },
  };
}
