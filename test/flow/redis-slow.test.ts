import { expect, it } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { redisProxy } from '../support/redis-proxy.ts';
import { principal, setup, toolCall } from '../support/setup.ts';

it('calls that wait for each other start in their turn, though each is picked up long after it is granted', async () => {
  const yard = await setup();
  const proxy = await redisProxy(yard.redisUrl);
  const tool = defineTool({
    name: 'one_by_one',
    version: '1.0.0',
    description: 'Runs once at a time',
    parameters: Type.Object({}),
    policy: { limits: [{ per: ['user'], concurrency: 1 }] },
    handler: () => 'done',
  });
  await yard.worker([tool], { redisUrl: proxy.url });
  const dispatcher = await yard.dispatcher();
  proxy.slowBy(75); // a pick-up takes two answers: more than the 100 ms after which a grant is asked for anew
  const calls = Array.from({ length: 6 }, () => toolCall('one_by_one'));
  const { outcomes } = await dispatcher.execute(calls, { principal });
  const limitWaits = outcomes.map(({ waits }) => waits.filter(({ reason }) => reason === 'concurrency').length);
  expect(outcomes.map(({ status }) => status)).toEqual(calls.map(() => 'completed'));
  expect(limitWaits).toEqual([0, 1, 1, 1, 1, 1]);
});
