import { setImmediate } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { orAborted } from '../../packages/dispatcher/src/or-aborted.ts';

it('what is not waited for any more may still fail, and is heard', async () => {
  const rejected: unknown[] = [];
  const onRejection = (reason: unknown) => void rejected.push(reason);
  process.on('unhandledRejection', onRejection);
  onTestFinished(() => void process.off('unhandledRejection', onRejection));
  const stop = new AbortController();
  const first = Promise.withResolvers<void>();
  const before = orAborted(first.promise, stop.signal);
  stop.abort(new Error('stopped'));
  await expect(before).rejects.toThrow('stopped');
  const second = Promise.withResolvers<void>();
  await expect(orAborted(second.promise, stop.signal)).rejects.toThrow('stopped');
  await expect(orAborted('an answer that is there', stop.signal)).rejects.toThrow('stopped');
  for (const { reject } of [first, second]) reject(new Error('late'));
  await setImmediate();
  expect(rejected).toEqual([]);
});
