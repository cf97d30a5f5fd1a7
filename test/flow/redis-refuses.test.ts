import { expect, it } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { principal, setup, signal, toolCall } from '../support/setup.ts';

it('a call whose start Redis cannot decide on is not run, spends no attempt, and is picked up again', async () => {
  const yard = await setup();
  const [begun, gate] = [signal(), signal()];
  let starts = 0;
  const once = defineTool({
    name: 'once',
    version: '1.0.0',
    description: 'Runs once at most, which is asked of Redis',
    parameters: Type.Object({}),
    policy: { effects: 'at-most-once' },
    handler: () => (starts += 1),
  });
  const gated = defineTool({
    name: 'gated',
    version: '1.0.0',
    description: 'Keeps the only slot',
    parameters: Type.Object({}),
    async handler() {
      begun.resolve();
      await gate.promise;
    },
  });
  await yard.worker([once, gated], { concurrency: 1, lockMs: 600, stalledCheckMs: 150 });
  const dispatcher = await yard.dispatcher();
  const blocks = dispatcher.execute([toolCall('gated')], { principal });
  await begun.promise;
  const running = dispatcher.execute([toolCall('once')], { principal });
  const sent = () => yard.logged.find(({ event, tool }) => event === 'call.enqueued' && tool === 'once');
  await expect.poll(sent).toBeDefined();
  const outcomeKey = yard.names.outcome(String(sent()?.job_id));
  await yard.redis.lpush(outcomeKey, 'no text'); // Redis answers with an error to whoever reads it
  gate.resolve();
  await blocks;
  await expect.poll(() => yard.logged.some(({ event }) => event === 'call.not_concluded')).toBe(true);
  expect(starts).toBe(0);
  await yard.redis.del(outcomeKey);
  expect((await running).outcomes).toMatchObject([{ status: 'completed', value: 1, attempts: 1 }]);
});
