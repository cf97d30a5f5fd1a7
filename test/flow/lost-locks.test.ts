import { expect, it } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { principal, setup, toolCall } from '../support/setup.ts';

it('a handler does not start after its lock is over, although its process has heard no timer since', async () => {
  const yard = await setup();
  const lockMs = 400;
  let asked = 0;
  let starts = 0;
  const tool = defineTool({
    name: 'held_up',
    version: '1.0.0',
    description: 'Is held up once between its pick-up and its start, as by a process that is stopped',
    parameters: Type.Object({}),
    needsApproval() {
      asked += 1;
      if (asked === 1) for (const until = performance.now() + 2 * lockMs; performance.now() < until;);
      return false;
    },
    handler: () => (starts += 1),
  });
  await yard.worker([tool], { lockMs, stalledCheckMs: 100 });
  const dispatcher = await yard.dispatcher();
  const { outcomes } = await dispatcher.execute([toolCall('held_up')], { principal });
  expect(outcomes).toMatchObject([{ status: 'completed', value: 1 }]);
  expect(asked).toBeGreaterThan(1);
  expect(outcomes[0]?.lost).toBe(asked - 1); // one, where nothing else stands still for as long
});
