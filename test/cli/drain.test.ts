import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createControl } from '@callyard/shared/control';
import { drainWorker } from '@callyard/shared/drain';
import { createFleetReader } from '@callyard/shared/fleet';
import { defineTool, Type } from '@callyard/worker';
import { callyard, listedForLong } from '../support/callyard-command.ts';
import { monitor } from '../support/redis-monitor.ts';
import { principal, setup, toolCall, type Callyard } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { gated } from '../support/why.ts';
import { ended, steady, workerProcesses } from '../support/worker-process.ts';

const nothing = defineTool({
  name: 'nothing',
  version: '1.0.0',
  description: 'Does nothing',
  parameters: Type.Object({}),
  handler: () => 0,
});

/** Tells how many calls a worker holds. */
function holding({ redis, names }: Callyard) {
  const fleet = createFleetReader(redis, names);
  return async (id: string) => {
    const { pools } = await fleet.read(0);
    return pools.flatMap(({ workers }) => workers).find((worker) => worker.id === id)?.active;
  };
}

const drain = ({ prefix }: Callyard, ...args: string[]) => callyard(['drain', ...args], { CALLYARD_PREFIX: prefix });

async function yardWithWorkers() {
  const yard = await setup();
  const [first] = await workerProcesses(yard, 2, steady);
  if (!first) throw new Error('no worker');
  return { yard, first, active: holding(yard) };
}

describe('callyard drain', () => {
  it('a worker that is drained hands back what does not end in its grace, and exits with 0', async () => {
    const yard = await setup();
    const starts = await watchStarts(yard);
    onTestFinished(starts.stop);
    const [first] = await workerProcesses(yard, 1, { ...steady, CALLYARD_CONCURRENCY: '2' });
    if (!first) throw new Error('no worker');
    const dispatcher = await yard.dispatcher();
    await dispatcher.waitForTools(['long_nap_first']);
    const asked = dispatcher.execute([toolCall('long_nap_first'), toolCall('long_nap_first')], { principal });
    await starts.reach(2);
    const [second] = await workerProcesses(yard, 1, steady);
    const { code, stdout } = await drain(yard, first.id.slice(0, -1), '--json');
    const calls = { handedBack: 2 };
    expect({ code, ...JSON.parse(stdout) }).toEqual({ code: 0, worker: first.id, isGone: true, calls });
    expect(await ended(first)).toBe(0);
    const { outcomes } = await asked;
    const told = outcomes.map(({ status, lost, worker, value }) => ({ status, lost, worker, value }));
    const there = { status: 'completed', lost: 0, worker: second?.id, value: { pid: second?.pid } };
    expect(told).toEqual([there, there]);
  });

  it('calls that end within the grace end where they run', async () => {
    const yard = await setup();
    const { tool, open } = gated();
    const options = { ...listedForLong, concurrency: 2, shutdownGraceMs: 20_000 };
    const [first, second] = [await yard.worker([tool], options), await yard.worker([tool], options)];
    const dispatcher = await yard.dispatcher();
    const asked = dispatcher.execute([toolCall('gated'), toolCall('gated'), toolCall('gated')], { principal });
    const active = holding(yard);
    await expect.poll(async () => ((await active(first.id)) ?? 0) + ((await active(second.id)) ?? 0)).toBe(3);
    const busy = (await active(first.id)) === 2 ? first : second;
    const drained = drain(yard, busy.id);
    const told = () => yard.logged.filter(({ event }) => event === 'worker.drain');
    await expect.poll(told, { timeout: 15_000 }).toHaveLength(1);
    open();
    const { code, stdout } = await drained;
    expect(stdout).toBe(
      `${busy.id} holds 2 calls; it is told to stop\n${busy.id} is gone. Of its calls: 2 completed.\n`,
    );
    expect(code).toBe(0);
    expect((await asked).outcomes.map(({ status }) => status)).toEqual(['completed', 'completed', 'completed']);
    expect(yard.logged.filter(({ event }) => event === 'call.lost')).toEqual([]);
  });

  it.each([
    ['the beginning of several ids', (id: string) => id.slice(0, 2), /^callyard: \S+ is the beginning of 2 workers: /],
    [
      'an id nobody has',
      (id: string) => `${id.slice(0, -1)}!`,
      /^callyard: no live worker is called .*; did you mean /,
    ],
  ])('%s drains nobody', async (_, wanted, message) => {
    const { yard, first, active } = await yardWithWorkers();
    const { code, stderr } = await drain(yard, wanted(first.id));
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
    expect(await active(first.id)).toBe(0);
  });

  it.each(['', ' '])(
    'an id that is not there, as of a variable that is not set (%j), drains nobody',
    async (wanted) => {
      const yard = await setup();
      const worker = await yard.worker([nothing], listedForLong);
      const { code, stdout, stderr } = await drain(yard, wanted);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toMatch(/^callyard: which worker\?/);
      expect(await worker.isReady()).toBe(true);
    },
  );

  it('a worker is told even where the time is over before it has been looked at', async () => {
    const yard = await setup();
    const { redis, names } = yard;
    const worker = await yard.worker([nothing], listedForLong);
    const { pools } = await createFleetReader(redis, names).read(0);
    const options = { redis, names, worker: { id: worker.id, pool: pools[0]?.pool ?? '' }, by: 'mia' };
    const control = createControl(redis, names);
    expect(await drainWorker({ ...options, control, timeoutMs: 0 })).toEqual({ isGone: false, calls: {} });
    expect(await worker.stopped).toBe('closed');
  });

  it('a worker that heard nothing is told again, and one that does not stop in time is told of', async () => {
    const { yard, first, active } = await yardWithWorkers();
    const { redis, names } = yard;
    const { pools } = await createFleetReader(redis, names).read(0);
    const options = { redis, names, worker: { id: first.id, pool: pools[0]?.pool ?? '' }, by: 'mia' };
    const deaf = { drain: () => Promise.resolve() };
    expect(await drainWorker({ ...options, control: deaf, timeoutMs: 300 })).toEqual({ isGone: false, calls: {} });
    expect(await active(first.id)).toBe(0);
    const real = createControl(redis, names);
    let lost = 2;
    const lossy = { drain: (id: string, by: string) => (lost-- > 0 ? Promise.resolve() : real.drain(id, by)) };
    expect(await drainWorker({ ...options, control: lossy, timeoutMs: 10_000 })).toEqual({ isGone: true, calls: {} });
    expect(await ended(first)).toBe(0);
  });

  it('who had a worker stop stands in its audit stream, once', async () => {
    const yard = await setup();
    const worker = await yard.worker([nothing], listedForLong);
    const other = await yard.worker([nothing], listedForLong);
    const control = createControl(yard.redis, yard.names);
    await Promise.all([control.drain(worker.id, 'mia'), control.drain(worker.id, 'max')]);
    expect(await worker.stopped).toBe('closed');
    const told = yard.logged.filter(({ event }) => event === 'worker.drain');
    expect(told).toMatchObject([{ audit: true, decision: 'done', by: 'mia', worker: worker.id }]);
    expect(await other.isReady()).toBe(true);
  });

  it('who has the calls of the pool is asked once, and then of those only that are new', async () => {
    const { redis, redisUrl, names } = await setup();
    const take = async (worker: string, key: string) => {
      await redis.hset(names.job('p', key), 'pb', worker);
      await redis.lpush(names.active('p'), key);
    };
    for (let i = 0; i < 100; i++) await take(i < 5 ? 'mine' : 'other', `r.0.${i}`);
    let asked = 0;
    const isAsked = (line: string) => line.includes(`"hget" "${names.tag}`) && line.endsWith('"pb"');
    const stop = await monitor(redisUrl, (line) => void (isAsked(line) && asked++));
    const control = { drain: () => Promise.resolve() };
    const worker = { id: 'mine', pool: 'p' };
    vi.useFakeTimers({ toFake: ['performance'] });
    onTestFinished(() => void vi.useRealTimers());
    const drained = drainWorker({ redis, names, control, worker, by: 'mia', timeoutMs: 900 });
    await expect.poll(() => asked).toBe(100);
    await take('mine', 'r.1.0');
    await expect.poll(() => asked).toBe(101);
    vi.advanceTimersByTime(900);
    expect(await drained).toEqual({ isGone: false, calls: { held: 6 } });
    stop();
    expect(asked).toBe(101);
  });
});
