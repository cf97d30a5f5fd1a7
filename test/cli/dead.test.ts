import { execFile, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { DeadLetter } from '@callyard/dispatcher';
import { environmentWith } from '@callyard/shared/config';
import { duration, rate, selectionFrom } from '../../packages/cli/src/dead-options.ts';
import { brittle, letDie } from '../support/dead.ts';
import { listedForLong } from '../support/callyard-command.ts';
import { setup, type Callyard } from '../support/setup.ts';

const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `callyard dead` as an operator would; `child` is there to be killed. */
function dead(yard: Callyard, ...args: string[]): Promise<Ran> & { child: ChildProcess } {
  const env = environmentWith({ REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix, NO_COLOR: '1' });
  const { promise, resolve } = Promise.withResolvers<Ran>();
  const child = execFile(process.execPath, [main, 'dead', ...args], { env }, (error, stdout, stderr) =>
    resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  return Object.assign(promise, { child });
}

/** An installation with dead letters of one tool. */
async function yardWithLetters(count: number, policy: Parameters<typeof brittle>[0] = {}, args: object = {}) {
  const yard = await setup();
  const tool = brittle(policy);
  await yard.worker([tool.tool], listedForLong);
  const dispatcher = await yard.dispatcher();
  const keys = (await letDie(yard, dispatcher, count, { args })).map(({ key }) => key);
  return { yard, keys, ...tool };
}

const letters = ({ stdout }: Ran): DeadLetter[] =>
  stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as DeadLetter);

describe('callyard dead', () => {
  it('lists, shows and drops', async () => {
    const { yard, keys } = await yardWithLetters(3, {}, { password: 'hunter2' });
    const [key = ''] = keys;
    const listed = await dead(yard, 'list', '--tool', 'brittle', '--newer-than', '1h', '--limit', '2');
    expect(listed.stdout).toMatch(/KEY +TOOL +OWNER\/USER +CODE +AGE +ATTEMPTS +RETRY +MESSAGE/);
    expect(listed.stdout).toMatch(/brittle@1\.0\.0 +acme\/mia +tool_error +\d+s +1 +broken today/);
    expect(listed.stdout.trim().split('\n')).toHaveLength(3);
    expect(listed.stderr).toContain('There are more');
    const shown = await dead(yard, 'show', key);
    expect(JSON.parse(shown.stdout)).toMatchObject({ key, arguments: { password: '[redacted]' }, attempts: 1 });
    expect(shown.stdout).not.toContain('hunter2');
    expect((await dead(yard, 'drop', key)).stdout).toBe('1 dropped\n');
    expect((await dead(yard, 'drop', '--older-than', '1ms', '--json')).stdout).toBe('{"dropped":2}\n');
    expect((await dead(yard, 'list')).stdout).toBe('no dead letters\n');
  });

  it('retries, and says what became of each', async () => {
    const { yard, keys, mend } = await yardWithLetters(3);
    const [key = ''] = keys;
    mend();
    const dry = await dead(yard, 'retry', key, '--dry-run');
    expect(dry.stderr).toContain(`${key}: would be retried as ${key}~1`);
    const retried = await dead(yard, 'retry', '--user', 'mia', '--rate', '1000/s', '--json');
    expect(JSON.parse(retried.stdout)).toMatchObject({ retried: 3, completed: 3, failed: 0, skipped: {} });
    const after = letters(await dead(yard, 'list', '--json'));
    expect(after.map(({ retry }) => retry?.state)).toEqual(['completed', 'completed', 'completed']);
    const again = await dead(yard, 'retry', '--user', 'mia');
    expect(again.stdout).toContain('0 retried\nleft alone: 3 completed');
  });

  it('says so by its exit code and by name when a retry fails again', async () => {
    const { yard, keys } = await yardWithLetters(1);
    const { code, stdout, stderr } = await dead(yard, 'retry', ...keys);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '1 retried: 1 failed\n' });
    expect(stderr).toContain(`${keys[0]}~1: failed, tool_error: broken today`);
  });

  it('leaves at-most-once tools alone without --force', async () => {
    const { yard, ran, mend } = await yardWithLetters(2, { effects: 'at-most-once' });
    mend();
    const refused = await dead(yard, 'retry', '--all', '--json');
    expect(JSON.parse(refused.stdout)).toMatchObject({ retried: 0, skipped: { at_most_once: 2 } });
    expect(refused.stderr).toContain('brittle may have taken effect; force retries it all the same');
    expect(ran).toHaveLength(2);
    const forced = await dead(yard, 'retry', '--all', '--force', '--json');
    expect(JSON.parse(forced.stdout)).toMatchObject({ retried: 2, completed: 2 });
  });

  it('ends without waiting when that is asked for', async () => {
    const { yard, ran, mend } = await yardWithLetters(1);
    mend();
    const { stdout } = await dead(yard, 'retry', '--all', '--no-wait', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ retried: 1, completed: 0 });
    await expect.poll(() => ran).toHaveLength(2);
  });

  it('retries each letter once, also when operators are killed in the middle and two go on at once', async () => {
    const { yard, keys, ran, mend } = await yardWithLetters(60);
    mend();
    for (const stopAt of [62, 64]) {
      const operator = dead(yard, 'retry', '--all', '--rate', '10/s'); // all of them take 6 s
      await expect.poll(() => ran.length, { timeout: 20_000, interval: 5 }).toBeGreaterThanOrEqual(stopAt);
      operator.child.kill('SIGKILL');
      await operator;
    }
    const killedAfter = ran.length - keys.length;
    expect(killedAfter).toBeLessThan(60);
    const two = await Promise.all([1, 2].map(() => dead(yard, 'retry', '--all', '--rate', '1000/s', '--json')));
    expect(two.map(({ code }) => code)).toEqual([0, 0]);
    expect(new Set(ran.slice(60))).toEqual(new Set(keys));
    expect(ran).toHaveLength(120);
    const retries = letters(await dead(yard, 'list', '--json')).map(({ retry }) => retry);
    expect(retries.every((retry) => retry?.state === 'completed' && retry.key.endsWith('~1'))).toBe(true);
  });

  it('answers what it cannot do with what can be done', async () => {
    const yard = await setup();
    const questions: [string[], number, string][] = [
      [['retry', 'nope.0.0'], 2, 'no dead letter nope.0.0'],
      [['list', '--older-than', 'yesterday'], 1, 'such as 90s, 30m, 2h or 7d'],
      [['list', '--code', 'tool_eror'], 2, 'did you mean tool_error?'],
      [['drop', '--older-then', '1h'], 1, '--older-than'],
    ];
    for (const [args, code, text] of questions) {
      const ran = await dead(yard, ...args);
      expect(ran.stderr).toContain(text);
      expect(ran.code).toBe(code);
    }
  });
});

describe('the options of callyard dead', () => {
  it('are lengths of time and rates with their units', () => {
    expect(['250ms', '90s', '30m', '1.5h', '7d'].map(duration)).toEqual([
      250, 90_000, 1_800_000, 5_400_000, 604_800_000,
    ]);
    expect(rate('10/s')).toEqual({ limit: 10, periodMs: 1_000 });
    expect(rate('0.5/m')).toEqual({ limit: 0.5, periodMs: 60_000 });
    for (const wrong of ['', '10', '-1h', '1 h', '1e3s', '2w']) expect(() => duration(wrong)).toThrow('90s');
    for (const wrong of ['', '10', '0/s', '-1/s', '10/ms', '/s']) expect(() => rate(wrong)).toThrow('10/s');
  });

  it('never mean everything by accident', () => {
    expect(selectionFrom(['a.0.0'], {})).toEqual({ keys: ['a.0.0'] });
    expect(selectionFrom([], { user: 'mia', newerThan: 5 })).toEqual({ filter: { userId: 'mia', newerThanMs: 5 } });
    expect(selectionFrom([], { all: true })).toEqual({ all: true });
    expect(() => selectionFrom([], {})).toThrow('or --all');
    expect(() => selectionFrom(['a.0.0'], { all: true })).toThrow('not several of them');
    expect(() => selectionFrom([], { tool: 'act', all: true })).toThrow('not several of them');
  });
});
