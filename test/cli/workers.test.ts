import { describe, expect, it } from 'vitest';
import { createFleetReader } from '@callyard/shared/fleet';
import { callyard } from '../support/callyard-command.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { steady, workerProcesses } from '../support/worker-process.ts';

/** The clock of a machine that is two hours ahead. */
const later = 'const { now } = Date; Date.now = () => now() + 7_200_000;';

describe('callyard workers', () => {
  it('lists who serves what, and how many calls each holds', async () => {
    const yard = await setup();
    const [worker] = await workerProcesses(yard, 1, { ...steady, CALLYARD_CONCURRENCY: '4' });
    const dispatcher = await yard.dispatcher();
    await dispatcher.waitForTools(['hold']);
    const stop = new AbortController();
    const asked = dispatcher.execute([toolCall('hold'), toolCall('hold')], { principal, signal: stop.signal });
    const run = (...args: string[]) => callyard(['workers', ...args], { CALLYARD_PREFIX: yard.prefix });
    const fleet = createFleetReader(yard.redis, yard.names);
    await expect.poll(async () => (await fleet.read(0)).pools[0]?.active, { timeout: 5_000 }).toBe(2);
    const listed = JSON.parse((await run('--json')).stdout) as unknown;
    const tools: unknown = expect.arrayContaining(['hold', 'nap']);
    expect(listed).toMatchObject([{ id: worker?.id, pid: worker?.pid, slots: 4, active: 2, tools }]);
    const { stdout } = await run();
    expect(stdout).toMatch(/^ID +HOST +PID +POOL +SLOTS +ACTIVE +FOR +TOOLS\n/);
    expect(stdout).toMatch(
      new RegExp(`${worker?.id} .* ${worker?.pid} +\\w{8} +4 +2 +(< 1|\\d+) s +\\w+ \\w+ \\w+ and \\d+ more`),
    );
    const hoursAhead = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(later)}` };
    const there = await callyard(['workers'], { CALLYARD_PREFIX: yard.prefix, ...hoursAhead });
    expect(there.stdout, 'ages are those of the clock of Redis').toMatch(/ (< 1|\d+) s +\w+ \w+ \w+ and/);
    stop.abort();
    await asked;
  });

  it('says so where there are none', async () => {
    const { prefix } = await setup();
    expect(await callyard(['workers'], { CALLYARD_PREFIX: prefix })).toMatchObject({ code: 0, stdout: 'no workers\n' });
    expect((await callyard(['workers', '--json'], { CALLYARD_PREFIX: prefix })).stdout).toBe('[]\n');
  });
});
