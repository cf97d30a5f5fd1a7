import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { expect, inject, it, onTestFinished } from 'vitest';
import { answersOf, connectRedis, hideCredentials, openRedis } from '@callyard/shared/redis';
import { redisProxy } from '../support/redis-proxy.ts';
import { createLogger } from '@callyard/shared/log';
import { setup } from '../support/setup.ts';

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

it('a pipeline has all of its answers, or the first thing that Redis refused', async () => {
  const { redis, names } = await setup();
  const key = `${names.tag}:text`;
  const begun = () => redis.pipeline().set(key, '7').get(key);
  expect(await answersOf(begun().incr(key))).toEqual(['OK', '7', 8]);
  await expect(answersOf(begun().lpush(key, 'x').hget(key, 'y'))).rejects.toThrow('WRONGTYPE');
  expect(await answersOf(redis.pipeline())).toEqual([]);
});

it.each([
  ['redis://h:6379/2', 'redis://h:6379/2'],
  ['redis://u:pw@h:6379/2', 'redis://***@h:6379/2'],
  ['redis://:pw@pw@h:6379', 'redis://***@h:6379'],
  ['rediss://u:pw/pw@h', 'rediss://***@h'],
  ['redis://u:pw?pw@h', 'redis://***'],
  ['redis://u:pw#pw@h', 'redis://***'],
  ['redis://h?password=pw', 'redis://h'],
  ['redis://h/1?username=u&password=pw', 'redis://h/1'],
  ['redis://h?password=pw@pw', 'redis://***'],
  ['redis://h#pw', 'redis://h'],
  [':pw@h', '***@h'],
  ['h:6379?password=pw', 'h:6379'],
  ['/run/redis.sock?password=pw', '/run/redis.sock'],
])('%s is shown as %s', (url, shown) => {
  expect(hideCredentials(url)).toBe(shown);
});

it.each(['redis://:pw@secret@127.0.0.1:1', 'redis://127.0.0.1:1?password=secret', ':pw-secret@127.0.0.1:1'])(
  'who cannot reach %s is not told the password',
  async (url) => {
    const log = createLogger({ name: 'test', destination: { write: () => {} } });
    const refused = openRedis({ url, name: 'test', log });
    await expect(refused).rejects.toThrow('ECONNREFUSED');
    await expect(refused).rejects.not.toThrow(/secret|pw/);
  },
);
