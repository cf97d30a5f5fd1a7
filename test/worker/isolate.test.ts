import { afterEach, describe, expect, it } from 'vitest';
import { createLogger } from '@callyard/shared/log';
import { runIsolated, stopIsolated } from '../../packages/worker/src/isolate.ts';
import { alone } from '../fixtures/tools/isolated.ts';

afterEach(stopIsolated);

const run = (mode: string, signal = new AbortController().signal): Promise<unknown> =>
  runIsolated(
    alone,
    { mode },
    {
      signal,
      fetch: () => Promise.reject(new Error('not here')),
      principal: { owner: 'o', userId: 'mia', roles: [], permissions: [] },
      log: createLogger({ name: 'test', level: 'silent' }),
      idempotencyKey: 'k',
      attempt: 2,
      conversationId: undefined,
    },
  );

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
};

describe('a handler in a process of its own', () => {
  it('runs elsewhere, knows whom it runs for, and hands its result back', async () => {
    expect(await run('pid')).not.toBe(process.pid);
    expect(await run('who')).toEqual({ userId: 'mia', attempt: 2 });
  });

  it('keeps its process for the next call, and has one each for calls at once', async () => {
    const first = await run('pid');
    expect(await run('pid')).toBe(first);
    const both = await Promise.all([run('pid'), run('pid')]);
    expect(new Set(both).size).toBe(2);
  });

  it('says for itself what happens next after its error', async () => {
    await expect(run('throw')).rejects.toMatchObject({
      code: 'tool_error',
      message: 'told to',
      suggestion: 'do not',
      retry: { afterMs: 7 },
    });
    await expect(run('bigint')).rejects.toMatchObject({
      code: 'tool_error',
      message: expect.stringContaining('BigInt') as string,
    });
  });

  it('may end its process without ending the worker', async () => {
    await expect(run('exit')).rejects.toMatchObject({
      code: 'tool_error',
      message: expect.stringContaining('exit 3') as string,
    });
    expect(await run('who')).toMatchObject({ userId: 'mia' });
  });

  it('is killed by its abort, though it never gives the processor back', async () => {
    const pid = (await run('pid')) as number;
    const abort = new AbortController();
    const spinning = run('spin', abort.signal);
    setImmediate(() => abort.abort());
    await expect(spinning).rejects.toThrow('SIGKILL');
    expect(isAlive(pid)).toBe(false);
  });
});
