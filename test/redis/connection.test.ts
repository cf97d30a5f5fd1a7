import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { expect, inject, it, onTestFinished } from 'vitest';
import { connectRedis } from '@callyard/shared/redis';
import { redisProxy } from '../support/redis-proxy.ts';
import { createLogger } from '@callyard/shared/log';

it('a connection that is closed while it subscribes again leaves no rejection that nobody hears', async () => {
  const rejected: unknown[] = [];
  const onRejection = (reason: unknown) => void rejected.push(reason);
  process.on('unhandledRejection', onRejection);
  onTestFinished(() => void process.off('unhandledRejection', onRejection));
  const proxy = await redisProxy(inject('redisUrl'));
  const log = createLogger({ name: 'test', destination: { write: () => {} } });
  const subscriber = connectRedis({ url: proxy.url, name: 'test', log });
  await subscriber.subscribe('news');

  const ended = once(subscriber, 'end');
  subscriber.on('ready', () => subscriber.disconnect()); // SUBSCRIBE has been sent by then, and is not answered
  proxy.cutAfter(1);
  await subscriber.ping().catch(() => {});
  await ended;
  await setImmediate();
  expect(rejected).toEqual([]);
});
