import type { Redis } from 'ioredis';
import { expect, it } from 'vitest';
import { scriptedModel, type RunEvent } from '@callyard/dispatcher';
import { eventsToTheEnd } from '../../packages/cli/src/chat/run-events.ts';
import { principal, says, setup, signal } from '../support/setup.ts';

const { owner } = principal;

/** A run whose model thinks until it is let go, read meanwhile. */
async function readWhileItStands() {
  const yard = await setup();
  const letGo = signal();
  const model = scriptedModel(() => letGo.promise.then(() => says('Done.')), { name: 'slow' });
  const dispatcher = await yard.dispatcher({ model });
  const messages = [{ role: 'user', content: 'go' }] as const;
  const { runId } = await dispatcher.submit({ messages, principal, events: true });
  const events: RunEvent[] = [];
  const stop = new AbortController();
  const reading = (async () => {
    for await (const event of eventsToTheEnd(dispatcher, runId, { owner, signal: stop.signal })) events.push(event);
  })();
  await expect.poll(() => events.length).toBe(2);
  return { yard, runId, events, reading, stop, letGo, stream: yard.names.runEvents(runId) };
}

/** Has reading fail until the stream is given back. */
async function takeAway(redis: Redis, stream: string): Promise<() => Promise<unknown>> {
  const failures = async () => Number(/errorstat_WRONGTYPE:count=(\d+)/.exec(await redis.info('errorstats'))?.[1] ?? 0);
  const before = await failures();
  await redis.rename(stream, `${stream}:aside`);
  await redis.set(stream, 'no stream');
  await expect.poll(failures).toBeGreaterThan(before);
  return () => redis.rename(`${stream}:aside`, stream);
}

it('events are read on after the last that was seen when reading failed', async () => {
  const { yard, events, reading, letGo, stream } = await readWhileItStands();
  const giveBack = await takeAway(yard.redis, stream);
  await giveBack();
  letGo.resolve();
  await reading;
  expect(events.map(({ id }) => id)).toEqual(events.map((_, i) => i + 1));
  expect(events.at(-1)).toMatchObject({ type: 'end', state: 'completed' });
});

it('events go on with the first that is kept where the next is not kept any more', async () => {
  const { yard, runId, events, reading, letGo, stream } = await readWhileItStands();
  const giveBack = await takeAway(yard.redis, stream);
  await yard.redis.hset(yard.names.run(runId), 'events', 10);
  await yard.redis.xadd(`${stream}:aside`, '10-0', 'e', JSON.stringify({ type: 'model.started', turn: 0 }));
  await yard.redis.xtrim(`${stream}:aside`, 'MAXLEN', 1);
  await giveBack();
  letGo.resolve();
  await reading;
  expect(events.map(({ id }) => id).slice(0, 4)).toEqual([1, 2, 10, 11]);
  expect(events.at(-1)).toMatchObject({ type: 'end', state: 'completed' });
});

it('reading ends when it is given up', async () => {
  const { reading, stop, letGo } = await readWhileItStands();
  stop.abort(new Error('given up'));
  await expect(reading).rejects.toThrow('given up');
  letGo.resolve();
});
