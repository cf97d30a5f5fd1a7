import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import { loadTools } from '@callyard/worker';
import { createMixture } from '../../packages/cli/src/load/mixture.ts';
import { scripted } from '../../packages/cli/src/load/scripted.ts';
import { keepPace } from '../../packages/cli/src/load/pace.ts';
import { newTally, noteLatency, noteOutcomes, renderTally } from '../../packages/cli/src/load/tally.ts';
import { callyard, listedForLong } from '../support/callyard-command.ts';
import { isAlive } from '../support/is-alive.ts';
import { setup } from '../support/setup.ts';
import { folderWith } from '../support/temporary-folder.ts';

const examples = fileURLToPath(new URL('../../examples/tools', import.meta.url));
const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const notePid = new URL('../support/note-pid.ts', import.meta.url).href;
const never = new AbortController().signal;

/** A fleet as `demo --load` wants it: the example tools, and a dispatcher that has its model. */
async function fleet() {
  const yard = await setup();
  const { tools } = await loadTools([examples]);
  await yard.worker(tools, listedForLong);
  await yard.dispatcher({ models: [scripted] });
  return { REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix, CALLYARD_METRICS_PORT: '0' };
}

describe('the schedule of a load', () => {
  it('is kept, however long an answer takes to begin: what was missed is asked at once, and counts from when it was due', async () => {
    const startAt = performance.now();
    const due: number[] = [];
    await keepPace({ callsPerSecond: 200, startAt, endAt: startAt + 200, stop: never }, (dueAt) => {
      if (due.length === 10) while (performance.now() < startAt + 120);
      due.push(dueAt - startAt);
      return 1;
    });
    expect(due.map(Math.round)).toEqual(Array.from({ length: 40 }, (_, i) => i * 5));
  });

  it('counts calls, not requests', async () => {
    const startAt = performance.now();
    let requests = 0;
    await keepPace({ callsPerSecond: 1_000, startAt, endAt: startAt + 100, stop: never }, () => {
      requests += 1;
      return 20;
    });
    expect(requests).toBe(5);
  });
});

it('a load is of all ways in and both classes, and each request makes as many calls as it counts for', () => {
  const { next } = createMixture(500);
  const drawn = Array.from({ length: 20_000 }, next);
  for (const { request, calls } of drawn) expect(request.way === 'execute' ? request.calls.length : 3).toBe(calls);
  expect(new Set(drawn.map(({ request }) => `${request.way} ${request.class}`))).toEqual(
    new Set(['execute interactive', 'execute batch', 'run interactive', 'submit interactive']),
  );
  const total = drawn.reduce((sum, { calls }) => sum + calls, 0);
  const inBatches = drawn.filter(({ request }) => request.class === 'batch').reduce((sum, { calls }) => sum + calls, 0);
  expect(inBatches / total).toBeCloseTo(0.12, 1);
});

it('a tally says what was asked, done and refused in a line', () => {
  const tally = newTally();
  tally.asked = 20;
  noteOutcomes(tally, [
    { status: 'completed' },
    { status: 'completed' },
    { status: 'refused', error: { code: 'unknown_tool', message: 'no' } },
  ]);
  for (let ms = 1; ms <= 100; ms++) noteLatency(tally, ms);
  expect(renderTally(tally, 2_000, 17)).toBe(
    'asked 10/s  done 2/s  under way 17  p50 50 ms  p95 95 ms  unknown_tool 1',
  );
});

/** Each process that a command starts tells its pid to a file; what is alive of them, at a moment. */
async function watchedProcesses() {
  const folder = await folderWith({ pids: '' });
  const file = join(folder, 'pids');
  const pids = () => readFileSync(file, 'utf8').trim().split('\n').map(Number);
  onTestFinished(() => {
    for (const pid of pids().filter(isAlive)) process.kill(pid, 'SIGKILL');
  });
  const settings = { NODE_OPTIONS: `--import=${notePid}?file=${encodeURIComponent(file)}`, CALLYARD_METRICS_PORT: '0' };
  return { settings, count: () => pids().length, alive: () => pids().filter(isAlive) };
}

describe('callyard demo --load', () => {
  it('that cannot start says so, and leaves no process behind', { timeout: 60_000 }, async () => {
    const { settings, count, alive } = await watchedProcesses();
    const wrong = { CALLYARD_LIMITS_FILE: '/nonexistent.json', REDIS_URL: '', ...settings };
    const { code, stderr } = await callyard(['demo', '--load'], wrong);
    expect(alive()).toEqual([]);
    expect(count(), 'itself, the keeper of its Redis, two workers and a dispatcher').toBe(5);
    expect(code).toBe(2);
    expect(stderr).toMatch(/^callyard: [^\n]+ before it served:\ncallyard: the [^\n]+ cannot be used: [^\n]+\n$/);
  });

  it('ends in good order at a Ctrl-C while its fleet starts', { timeout: 60_000 }, async () => {
    const { settings, count, alive } = await watchedProcesses();
    const env = environmentWith({ REDIS_URL: '', ...settings });
    const child = spawn(process.execPath, [main, 'demo', '--load'], { env, detached: true });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.stdout.resume();
    const exited = once(child, 'close');
    await expect.poll(count, { timeout: 10_000, interval: 10 }).toBeGreaterThan(2);
    process.kill(-(child.pid ?? 0), 'SIGINT'); // as a terminal does: to all processes of its group
    const [code] = (await exited) as [number];
    expect({ code, said, alive: alive() }).toEqual({ code: 0, said: '', alive: [] });
  });

  it('asks a fleet at the rate it was told, and says what became of it', { timeout: 60_000 }, async () => {
    const { code, stdout } = await callyard(['demo', '--load', '--rate', '60', '--minutes', '0.1'], await fleet());
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {4}[5-9] s {2}asked \d+\/s {2}done \d+\/s {2}under way \d+ {2}p50 \d+ ms {2}p95 \d+ ms/m);
    const [, asked, done] = /^ {2}all {3}asked (\d+)\/s {2}done (\d+)\/s {2}under way 0 /m.exec(stdout) ?? [];
    expect(Number(asked)).toBeGreaterThan(20);
    expect(done).toBe(asked);
    expect(stdout).not.toMatch(/run failed|Error/);
  });

  it('ends at a signal with what it has', { timeout: 60_000 }, async () => {
    const env = environmentWith(await fleet());
    const child = fork(main, ['demo', '--load', '--rate', '40'], { env, stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
    onTestFinished(() => void child.kill('SIGKILL'));
    const lines: string[] = [];
    const begun = Promise.withResolvers<void>();
    if (!child.stdout) throw new Error('no output');
    createInterface({ input: child.stdout }).on('line', (line) => {
      lines.push(line);
      if (/^ +\d+ s {2}asked/.test(line)) begun.resolve();
    });
    await begun.promise;
    child.kill('SIGINT');
    const [code] = (await once(child, 'close')) as [number];
    expect(code).toBe(0);
    expect(lines.at(-1)).toMatch(/^ {2}all {3}asked/);
  });
});
