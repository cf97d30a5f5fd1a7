import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import { createFleetReader } from '@callyard/shared/fleet';
import { createTallyReader } from '@callyard/shared/tally';
import { screenful } from '../../packages/cli/src/fleet/live-page.ts';
import type { Stats } from '../../packages/cli/src/fleet/page.ts';
import { callyard } from '../support/callyard-command.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { principal, setup, toolCall, type Callyard } from '../support/setup.ts';
import { steady, workerProcesses } from '../support/worker-process.ts';

const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

/** A worker counts with its heartbeat, a dispatcher every few seconds. */
const patiently = { timeout: 15_000, interval: 100 };

/** Two calls that ended, one refused, and some that wait behind two that run. */
async function busyYard() {
  const yard = await setup();
  await workerProcesses(yard, 1, { ...steady, CALLYARD_CONCURRENCY: '2' });
  const dispatcher = await yard.dispatcher();
  await dispatcher.waitForTools(['hold', 'nap']);
  await dispatcher.execute([toolCall('nap', { ms: 1 }), toolCall('stumble', {}), toolCall('nap', { ms: -1 })], {
    principal,
  });
  await dispatcher.execute([toolCall('nobody_has_it')], { principal });
  const stop = new AbortController();
  const calls = Array.from({ length: 7 }, () => toolCall('hold'));
  const held = dispatcher.execute(calls, { principal, signal: stop.signal });
  return {
    yard,
    stats: (...args: string[]) => callyard(['stats', ...args], { CALLYARD_PREFIX: yard.prefix }),
    end: async () => {
      stop.abort();
      await held;
    },
  };
}

/** `callyard stats --watch` as a process, and what it has printed. */
function watch({ redisUrl, prefix }: Callyard, ...args: string[]) {
  const env = environmentWith({ REDIS_URL: redisUrl, CALLYARD_PREFIX: prefix, NO_COLOR: '1' });
  const child = spawn(process.execPath, [main, 'stats', '--watch', ...args], { env });
  let printed = '';
  let told = '';
  child.stdout.on('data', (chunk: Buffer) => (printed += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (told += chunk.toString()));
  onTestFinished(() => void child.kill('SIGKILL'));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, exited, printed: () => printed, told: () => told };
}

describe('callyard stats', () => {
  it('tells how the fleet stands and what its tools did, as tables and as JSON', async () => {
    const { yard, stats, end } = await busyYard();
    const { redis, names } = yard;
    const fleet = createFleetReader(redis, names);
    await expect.poll(async () => (await fleet.read(0)).pools[0]?.waiting, patiently).toMatchObject({ interactive: 5 });
    const tally = createTallyReader(redis, names, Date);
    const counted = async () => (await tally.read(2)).tools.reduce((sum, { calls }) => sum + calls, 0);
    await expect.poll(counted, patiently).toBe(4);
    const told = JSON.parse((await stats('--json')).stdout) as Stats;
    expect(told.pools).toMatchObject([{ active: 2, waiting: { interactive: 5, batch: 0 } }]);
    const [first, ...others] = told.tally.tools;
    const nap = { calls: 2, outcomes: { completed: 1, refused: 1 }, errors: { invalid_arguments: 1 } };
    expect(first).toMatchObject({ tool: 'nap', ...nap });
    // With one call each, they have no order.
    expect(Object.fromEntries(others.map((one) => [one.tool, one]))).toMatchObject({
      stumble: { calls: 1, outcomes: { completed: 1 }, retries: 1 },
      _OTHER: { calls: 1, errors: { unknown_tool: 1 } },
    });
    const { stdout } = await stats('--last', '5m');
    expect(stdout).toMatch(/^Pools 1 · workers 1 · slots 2 · active 2 · waiting 5, the oldest for \d+ s\n/);
    expect(stdout).toMatch(/\nRuns: queued 0 · running 0 · waiting 0 · dead letters 0 · Redis [\d.]+ [KM]B/);
    expect(stdout).toMatch(/\n\w{8} +1 +2 +2 +5 +0 +\d+ s +0 +3\.50 +0 +block guarded \w+ and \d+ more\n/);
    expect(stdout).toMatch(/\nnap +2 +0\.\d +50\.0 % +0\.0 % +50\.0 % .* invalid_arguments 1\n/);
    expect(stdout).toMatch(/\nWAITING FOR +CALLS +LANES\nshare +\d +1\n/);
    expect(stdout).toMatch(/\nHAD WAITED FOR +WAITS +AVERAGE\n/);
    await end();
  });

  it('says that nothing is there where nothing is', async () => {
    const { prefix } = await setup();
    const { stdout, code } = await callyard(['stats'], { CALLYARD_PREFIX: prefix });
    expect(code).toBe(0);
    expect(stdout).toContain('No worker is there, and nothing waits.');
    expect(stdout).toContain('No call has ended of late.');
  });

  it('with --watch it prints a page after the other until it is interrupted', async () => {
    const yard = await setup();
    const { child, exited, printed } = watch(yard);
    await expect.poll(() => printed().match(/^Pools 0/gm)?.length, { timeout: 15_000 }).toBeGreaterThan(1);
    child.kill('SIGINT');
    expect(await exited).toBe(0);
    expect(printed()).not.toContain('\x1b');
    expect(printed()).toMatch(/^\d\d:\d\d:\d\d\nPools 0/);
  });

  it('with --watch it says that Redis does not answer, and goes on when it does', async () => {
    const yard = await setup();
    const proxy = await redisProxy(yard.redisUrl);
    const { child, exited, printed, told } = watch({ ...yard, redisUrl: proxy.url });
    const pages = () => printed().match(/^Pools 0/gm)?.length ?? 0;
    await expect.poll(pages, patiently).toBeGreaterThan(0);
    const before = told().length;
    proxy.dieAfter(1);
    const since = () => told().slice(before);
    await expect.poll(since, patiently).toMatch(/^callyard: Redis does not answer since \d\d:\d\d:\d\d\n$/);
    const shown = pages();
    proxy.revive();
    await expect.poll(pages, patiently).toBeGreaterThan(shown);
    child.kill('SIGINT');
    expect(await exited).toBe(0);
  });

  it.each([
    ['what fits whole', 3, 12, ['one', 'two', 'three']],
    ['lines it has no room for by their number', 2, 40, ['one', '… 2 more lines']],
    ['a line it has no room for by its beginning', 3, 4, ['one', 'two', 'thr…']],
  ])('on a terminal a page shows %s', (_, rows, columns, lines) => {
    expect(screenful('one\ntwo\nthree\n', { rows: rows + 1, columns })).toEqual(lines);
  });

  it('with --watch --json it prints a line each time', async () => {
    const yard = await setup();
    const { child, exited, printed } = watch(yard, '--json');
    await expect.poll(() => printed().split('\n').length, { timeout: 15_000 }).toBeGreaterThan(2);
    child.kill('SIGTERM');
    expect(await exited).toBe(0);
    for (const line of printed().trimEnd().split('\n')) expect(JSON.parse(line)).toMatchObject({ pools: [] });
  });

  it.each([
    ['more than is kept', ['--last', '2h'], 2, 'no more than the last 60m are kept'],
    ['no length of time', ['--last', 'soon'], 1, 'a length of time is needed'],
  ])('refuses %s', async (_, args, code, message) => {
    const ran = await callyard(['stats', ...args]);
    expect(ran).toMatchObject({ code });
    expect(ran.stderr).toContain(message);
  });
});
