import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { waitedFor } from '../support/outcome.ts';
import { play } from '../support/played-model.ts';
import { principal, proposes, says, setup, toolCall } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { dispatcherProcesses, ended, steady, workerProcesses } from '../support/worker-process.ts';

/** Whether a process runs; one that only waits to be reaped does not. */
function isAlive(pid: number): boolean {
  const { stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' });
  return stdout.trim() !== '' && !stdout.startsWith('Z');
}

const holds = (count: number) => Array.from({ length: count }, () => toolCall('held_first'));
const naps = (count: number, name = 'nap', ms = 700) => Array.from({ length: count }, () => toolCall(name, { ms }));

describe('processes', () => {
  it('live on whatever anybody publishes', async () => {
    const yard = await setup();
    const [worker] = await workerProcesses(yard, 1, steady);
    const [driver] = await dispatcherProcesses(yard, 1, steady);
    const { admissionChannel, catalogChannel, controlChannel, noticeChannel } = yard.names;
    const messages = [
      '',
      'no message',
      'null',
      '5',
      '"text"',
      '[null,5,{}]',
      '{"of":"a newer version"}',
      '{"due":"soon"}',
    ];
    for (const channel of [admissionChannel, catalogChannel, controlChannel, noticeChannel(driver?.id ?? '')]) {
      for (const message of messages) expect(await yard.redis.publish(channel, message)).toBe(1);
    }
    const client = await yard.dispatcher();
    const asked = { messages: play(proposes(...naps(1)), says('Done.')), principal, model: 'played' };
    const { runId } = await client.submit(asked);
    const run = await client.wait(runId, { ...principal, signal: AbortSignal.timeout(10_000) });
    expect(run).toMatchObject({ state: 'completed', outcomes: [{ status: 'completed' }] });
    expect([worker?.process.exitCode, driver?.process.exitCode]).toEqual([null, null]);
  });
});

describe('worker processes', () => {
  it('killed by kill -9 lose their calls to the others, each call with one outcome', async () => {
    const yard = await setup();
    const [victim] = await workerProcesses(yard, 1);
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const starts = await watchStarts(yard);
    const running = dispatcher.execute(holds(10), { principal });
    await starts.reach(10);
    victim?.process.kill('SIGKILL');
    const [survivor] = await workerProcesses(yard, 1, steady);
    const { outcomes } = await running;
    starts.stop();
    const taken = outcomes.map(({ status, worker, attempts }) => [status, worker, attempts]);
    expect(taken).toEqual(Array.from({ length: 10 }, () => ['completed', survivor?.id, 1]));
    expect(outcomes.filter(({ lost }) => lost === 0)).toEqual([]);
  });

  it('killed while they run an at-most-once call leave it unknown, not repeated', async () => {
    const yard = await setup();
    const [victim] = await workerProcesses(yard, 1);
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const starts = await watchStarts(yard);
    const running = dispatcher.execute(naps(1, 'nap_once', 60_000), { principal, key: 'once' });
    await starts.reach(1);
    await workerProcesses(yard, 1);
    victim?.process.kill('SIGKILL');
    const { outcomes } = await running;
    starts.stop();
    expect(outcomes[0]).toMatchObject({ status: 'failed', error: { code: 'outcome_unknown' }, lost: 1 });
    expect(await yard.redis.llen(`{${yard.prefix}:0}:starts:${outcomes[0]?.key}`)).toBe(1);
  });

  it('stopped past their lock and let go again can settle nothing any more', async () => {
    const yard = await setup();
    const [frozen] = await workerProcesses(yard, 1);
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const starts = await watchStarts(yard);
    const running = dispatcher.execute(holds(10), { principal });
    await starts.reach(10);
    starts.stop();
    frozen?.process.kill('SIGSTOP');
    const [awake] = await workerProcesses(yard, 1, steady);
    const { outcomes } = await running;
    expect(outcomes.map(({ status, worker }) => [status, worker])).toEqual(
      Array.from({ length: 10 }, () => ['completed', awake?.id]),
    );
    expect(outcomes.filter(({ lost }) => lost === 0)).toEqual([]);
    // Their handlers end as the first thing that it hears of.
    for (const { key } of outcomes) await yard.redis.rpush(`${yard.names.tag}:starts:${key}:let-go`, 'go');
    frozen?.process.kill('SIGCONT');
    const again = await dispatcher.execute(naps(4, 'nap', 10), { principal });
    expect(again.outcomes.every(({ status }) => status === 'completed')).toBe(true);
    frozen?.process.kill('SIGTERM');
    await ended(frozen as NonNullable<typeof frozen>);
    const standing = await Promise.all(outcomes.map(({ key }) => yard.redis.get(yard.names.outcome(key))));
    expect(standing.map((text) => JSON.parse(text ?? '{}') as unknown)).toEqual(outcomes);
  });

  it('asked to stop hand running calls back without spending an attempt', async () => {
    const yard = await setup();
    const [leaving] = await workerProcesses(yard, 1, steady);
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const starts = await watchStarts(yard);
    const calls = Array.from({ length: 3 }, () => toolCall('long_nap_first'));
    const running = dispatcher.execute(calls, { principal });
    await starts.reach(3);
    const [staying] = await workerProcesses(yard, 1, steady);
    leaving?.process.kill('SIGTERM');
    const { outcomes } = await running;
    starts.stop();
    expect(await ended(leaving as NonNullable<typeof leaving>)).toBe(0);
    expect(outcomes.map(({ status, attempts, lost, worker }) => [status, attempts, lost, worker])).toEqual(
      Array.from({ length: 3 }, () => ['completed', 1, 0, staying?.id]),
    );
    expect(waitedFor(outcomes[0])).toEqual(['shutdown']);
  });

  it('with a blocked event loop lose the call, which ends as lost past its maxLost', async () => {
    const yard = await setup();
    await workerProcesses(yard, 2);
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const { outcomes } = await dispatcher.execute([toolCall('block', { ms: 2_500 })], { principal });
    expect(outcomes[0]).toMatchObject({ status: 'failed', error: { code: 'lost' }, lost: 1 });
  });

  it('kill an isolated handler that never gives the processor back, and serve on', async () => {
    const yard = await setup();
    await workerProcesses(yard, 1, steady);
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const calls = [toolCall('isolated_block'), toolCall('nap', { ms: 1 })];
    const { outcomes } = await dispatcher.execute(calls, { principal });
    expect(outcomes[0]).toMatchObject({ status: 'failed', error: { code: 'timeout' } });
    expect(outcomes[1]?.status).toBe('completed');
  });

  it('take an isolated handler that never gives the processor back with them when they are killed', async () => {
    const yard = await setup();
    const [victim] = await workerProcesses(yard, 1, steady);
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const starts = await watchStarts(yard);
    const leave = new AbortController();
    const running = dispatcher.execute([toolCall('isolated_spin')], { principal, signal: leave.signal });
    await starts.reach(1);
    starts.stop();
    const [key = ''] = await yard.redis.keys(`{${yard.prefix}:0}:starts:*`);
    const child = Number(await yard.redis.lindex(key, 0));
    expect(isAlive(child)).toBe(true);
    victim?.process.kill('SIGKILL');
    await expect.poll(() => isAlive(child)).toBe(false);
    leave.abort();
    await running;
  });
});
