import type { Callyard } from './setup.ts';

/** `reach` resolves when this many handlers of worker processes have started since the watch began. */
export async function watchStarts(yard: Callyard) {
  const subscriber = yard.redis.duplicate();
  let count = 0;
  let check = () => {};
  subscriber.on('message', () => {
    count += 1;
    check();
  });
  await subscriber.subscribe(`{${yard.prefix}:0}:started`);
  return {
    reach: (wanted: number) =>
      new Promise<void>((resolve) => {
        check = () => {
          if (count >= wanted) resolve();
        };
        check();
      }),
    get count() {
      return count;
    },
    stop: () => subscriber.disconnect(),
  };
}
