import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, it, onTestFinished } from 'vitest';
import { createLogger } from '@callyard/shared/log';
import type { Tool } from '@callyard/shared/tool';
import { runIsolated, stopIsolated } from '../../packages/worker/src/isolate.ts';
import { alone } from '../fixtures/tools/isolated.ts';
import { isAlive } from '../support/is-alive.ts';

afterEach(stopIsolated);

interface Run {
  tool?: Tool;
  pipe?: string;
  signal?: AbortSignal;
}

const run = (mode: string, { tool = alone, pipe, signal = new AbortController().signal }: Run = {}): Promise<unknown> =>
  runIsolated(tool, pipe === undefined ? { mode } : { mode, pipe }, {
    signal,
    fetch: () => Promise.reject(new Error('not here')),
    principal: { owner: 'o', userId: 'mia', roles: [], permissions: [] },
    log: createLogger({ name: 'test', level: 'silent' }),
    idempotencyKey: 'k',
    attempt: 2,
    conversationId: undefined,
    progress: () => {},
  });

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

  it.each([
    ['bigint', 'BigInt'],
    ['circular', 'circular'],
    ['mistake', 'x is not a function'],
  ])('is not tried again after a result or a mistake such as %s', async (mode, said) => {
    await expect(run(mode)).rejects.toMatchObject({
      code: 'tool_error',
      retry: 'never',
      message: expect.stringContaining(said) as string,
    });
  });

  it('may end its process without ending the worker', async () => {
    await expect(run('exit')).rejects.toMatchObject({
      code: 'tool_error',
      message: expect.stringContaining('exit 3') as string,
    });
    expect(await run('who')).toMatchObject({ userId: 'mia' });
  });

  it('hands back nothing as null, and a large text whole', async () => {
    expect(await run('nothing')).toBeNull();
    expect(await run('text')).toBe(`"quoted" \u2028 ${'x'.repeat(1_000_000)}`);
  });

  it('keeps its process over many calls without a warning about listeners', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const pid = await run('pid');
    for (let call = 0; call < 15; call++) expect(await run('pid')).toBe(pid);
    await setImmediate();
    expect(warnings).toEqual([]);
  });

  it('must be exported by its module', async () => {
    const stranger = { ...alone, manifest: { ...alone.manifest, name: 'stranger' } };
    await expect(run('who', { tool: stranger })).rejects.toMatchObject({
      code: 'tool_error',
      retry: 'never',
      message: expect.stringContaining('does not export the tool stranger@1.0.0') as string,
    });
  });

  it('is not started once its call is aborted', async () => {
    const late = AbortSignal.abort(new Error('too late'));
    await expect(run('who', { signal: late })).rejects.toThrow('too late');
  });

  it('is killed by its abort, though it never gives the processor back', async () => {
    const pid = (await run('pid')) as number;
    const folder = mkdtempSync(join(tmpdir(), 'callyard-test-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const pipe = join(folder, 'begun');
    execFileSync('mkfifo', [pipe]);
    const abort = new AbortController();
    const spinning = run('spin', { pipe, signal: abort.signal });
    expect(await readFile(pipe, 'utf8')).toBe('begun');
    abort.abort();
    await expect(spinning).rejects.toThrow('SIGKILL');
    expect(isAlive(pid)).toBe(false);
    expect(await run('who')).toMatchObject({ userId: 'mia' });
  });

  it('leaves no more than four processes behind after a burst', async () => {
    const burst = (await Promise.all(Array.from({ length: 5 }, () => run('pid')))) as number[];
    expect(new Set(burst).size).toBe(5);
    await expect.poll(() => burst.filter(isAlive)).toHaveLength(4);
    const next = (await Promise.all(Array.from({ length: 4 }, () => run('pid')))) as number[];
    expect(new Set(next)).toEqual(new Set(burst.filter(isAlive)));
  });
});
