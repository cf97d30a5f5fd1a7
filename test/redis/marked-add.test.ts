import { expect, it, onTestFinished } from 'vitest';
import { createCallQueues, type Mark } from '@callyard/shared/queue';
import { connectOnce } from '@callyard/shared/redis';
import { all, atOnce, brittle, letDie } from '../support/dead.ts';
import { setup } from '../support/setup.ts';
import { envelope } from '../support/spans.ts';

async function markedAdds() {
  const yard = await setup();
  const connection = connectOnce(yard.redis);
  const queues = createCallQueues(connection, yard.names);
  onTestFinished(async () => {
    await queues.close();
    connection.disconnect();
  });
  const key = yard.names.retried('a.0.0');
  const add = (name: string, mark: Partial<Mark>) =>
    queues.addMarked(
      'p',
      { envelope: { ...envelope, key: name }, carrier: undefined },
      { key, was: null, next: name, ttlMs: 60_000, ...mark },
    );
  const jobs = () => yard.redis.lrange(`${yard.names.tag}:${yard.names.queue('p')}:wait`, 0, -1);
  return { yard, connection, key, add, jobs };
}

it('adds a job with its mark, or neither where the mark is another', async () => {
  const { yard, key, add, jobs } = await markedAdds();
  expect(await add('one', {})).toBe(true);
  expect(await add('two', {})).toBe(false);
  expect(await jobs()).toEqual(['one']);
  expect(await yard.redis.get(key)).toBe('one');
  expect(await yard.redis.pttl(key)).toBeGreaterThan(50_000);
  // What the refused add looked at is not looked at any more.
  const other = add('three', { key: `${key}-other` });
  await yard.redis.set(key, 'changed');
  expect(await other).toBe(true);
});

it('adds neither where the mark is written between its look and its write', async () => {
  const { yard, connection, key, add, jobs } = await markedAdds();
  const get = connection.get.bind(connection);
  const lookAndBeOvertaken = async (asked: string) => {
    const was = await get(asked);
    await yard.redis.set(key, 'somebody else');
    return was;
  };
  Object.assign(connection, { get: lookAndBeOvertaken });
  expect(await add('one', {})).toBe(false);
  expect(await jobs()).toEqual([]);
  expect(await yard.redis.get(key)).toBe('somebody else');
});

it('says so when Redis is lost in the middle of retries, which go on where they stopped', async () => {
  const yard = await setup();
  const { tool, ran, mend } = brittle();
  await yard.worker([tool]);
  const dispatcher = await yard.dispatcher();
  const keys = (await letDie(yard, dispatcher, 6)).map(({ key }) => key);
  mend();
  const retries = dispatcher.deadLetters.retry({ all: true }, atOnce);
  await retries.next();
  await retries.next();
  const clients = (await yard.redis.client('LIST')) as string;
  const ids = clients
    .split('\n')
    .filter((line) => line.includes(`callyard-dispatcher:${dispatcher.id} `))
    .flatMap((line) => /^id=(\d+)/.exec(line)?.[1] ?? []);
  expect(ids).toHaveLength(2);
  await yard.redis.client('KILL', 'ID', Math.max(...ids.map(Number)));
  await expect(all(retries)).rejects.toThrow('the same again goes on where this stopped');
  await all(dispatcher.deadLetters.retry({ all: true }, atOnce));
  await expect.poll(() => ran).toHaveLength(12);
  expect(new Set(ran.slice(6))).toEqual(new Set(keys));
});
