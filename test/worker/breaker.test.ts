import { expect, it, onTestFinished, vi } from 'vitest';
import { createLogger } from '@callyard/shared/log';
import { defineTool, Type } from '@callyard/worker';
import { Interruption } from '../../packages/worker/src/attempt.ts';
import { createBreakers } from '../../packages/worker/src/breaker.ts';

const halfOpenAfterMs = 30;

/** A circuit that one failure opens, attempts that end when a test says so, and time that passes when it does. */
function circuit() {
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => void vi.useRealTimers());
  const breakers = createBreakers(createLogger({ name: 'test', level: 'silent' }));
  const tool = defineTool({
    name: 'service',
    version: '1.0.0',
    description: 'Asks a service',
    parameters: Type.Object({}),
    policy: { breaker: { failures: 1, halfOpenAfterMs } },
    handler: () => undefined,
  });
  const begin = () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const end = breakers.run(tool, () => promise).catch((error: { code?: string; message: string }) => error.code);
    return { resolve, fail: () => reject(new Error('down')), reject, end };
  };
  const works = () => breakers.run(tool, () => Promise.resolve('works'));
  const fails = () => breakers.run(tool, () => Promise.reject(new Error('down')));
  /** opened, and its pause over */
  const pauseOver = async () => {
    await expect(fails()).rejects.toThrow('down');
    vi.setSystemTime(Date.now() + halfOpenAfterMs);
  };
  return { begin, works, fails, pauseOver };
}

it('leaves the errors of attempts as they are', async () => {
  const { fails } = circuit();
  await expect(fails()).rejects.toThrow(new Error('down'));
  await expect(fails()).rejects.toMatchObject({ code: 'circuit_open' });
});

it('hears only the probe while there is one: what began before has no say', async () => {
  const { begin, works, pauseOver } = circuit();
  const [slow, slower] = [begin(), begin()];
  await pauseOver();
  const probe = begin();
  slow.fail();
  await slow.end;
  await expect(works()).rejects.toMatchObject({ code: 'circuit_open', retryAfterMs: halfOpenAfterMs });
  slower.resolve('late');
  expect(await slower.end).toBe('late');
  await expect(works()).rejects.toMatchObject({ code: 'circuit_open' });
  probe.resolve('first');
  await probe.end;
  expect(await works()).toBe('works');
});

it.each(['shutdown', 'lock-lost'] as const)('is not left half open by a probe that ends with %s', async (kind) => {
  const { begin, works, pauseOver } = circuit();
  await pauseOver();
  const probe = begin();
  probe.reject(new Interruption(kind));
  await probe.end;
  expect(await works()).toBe('works');
});
