import { expect, it } from 'vitest';
import { createDispatcher } from '@callyard/dispatcher';
import { createWorker, defineTool, ToolError, Type } from '@callyard/worker';
import { createLogger } from '@callyard/shared/log';
import { collecting } from '../support/collecting.ts';
import { ownRedis } from '../support/own-redis.ts';
import { principal, quick, toolCall } from '../support/setup.ts';

it('a pick-up that Redis breaks off is measured like any other', async () => {
  const read = await collecting();
  const { url: redisUrl, redis, names, refuseWrites, takeWrites } = await ownRedis();
  const events: unknown[] = [];
  const destination = { write: (line: string) => void events.push((JSON.parse(line) as { event: unknown }).event) };
  const log = createLogger({ name: 'test', level: 'debug', destination });
  let starts = 0;
  const patient = defineTool({
    name: 'patient',
    version: '1.0.0',
    description: 'Asks for patience while Redis takes no writes',
    parameters: Type.Object({}),
    async handler() {
      starts += 1;
      if (starts > 1) return 'done';
      await refuseWrites();
      throw new ToolError('later', { retry: { afterMs: 1 } });
    },
  });
  const common = { ...quick, redisUrl, prefix: 'own', log };
  const worker = await createWorker({ ...common, tools: [patient], stalledCheckMs: 200 });
  const dispatcher = await createDispatcher({ ...common, unservedMs: 15_000 });
  await dispatcher.waitForTools(['patient']);
  const done = dispatcher.execute([toolCall('patient')], { principal });
  await expect.poll(() => events).toContain('call.not_concluded');
  await takeWrites();
  // As when its time is over; a lock so short that a test waits for it would end as well where this process is held up.
  await redis.del(await redis.keys(`${names.tag}:calls-${worker.pool}:*:lock`));
  expect((await done).outcomes).toMatchObject([{ status: 'completed', value: 'done' }]);
  await dispatcher.close();
  await worker.close();
  const measured = async (type: string) => (await read()).sum('messaging_process_duration_count', { error_type: type });
  expect(await measured('')).toBe(1);
  expect(await measured('_OTHER')).toBe(1);
  expect((await read()).sum('messaging_client_consumed_messages_total')).toBe(2);
});
