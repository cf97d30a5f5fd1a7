import { Queue, type Job } from 'bullmq';
import { describe, expect, it, onTestFinished } from 'vitest';
import { scriptedModel, type Dispatcher } from '@callyard/dispatcher';
import { parseOutcome, type Outcome } from '@callyard/shared/call';
import { poolOf } from '@callyard/shared/catalog';
import { manifestHash } from '@callyard/shared/tool';
import { forecast, stumblingForecast } from '../support/forecast.ts';
import { watchPickUps } from '../support/pick-ups.ts';
import { principal, proposes, says, setup, toolCall, type Callyard } from '../support/setup.ts';
import { ended, steady, workerProcesses } from '../support/worker-process.ts';

const repeat = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make);
const forecasts = (count: number, unit = 'celsius') => repeat(count, () => toolCall('forecast', { unit }));
const valuesOf = (outcomes: readonly Outcome[]) =>
  [...new Set(outcomes.map(({ value }) => String(value)))].toSorted(byText);
const byText = (a: string, b: string) => a.localeCompare(b);

/** Workers and a dispatcher that knows all of their versions. */
async function serving(...versions: string[]) {
  const yard = await setup();
  const workers = await Promise.all(versions.map((version) => yard.worker([forecast(version)])));
  return { yard, workers, dispatcher: await yard.dispatcher() };
}

describe('versions that are live at once', () => {
  it('get the calls whose range wants them', async () => {
    const { dispatcher } = await serving('1.0.0', '1.1.0', '2.0.0');
    const run = async (versions: Record<string, string>) =>
      valuesOf((await dispatcher.execute(forecasts(20), { principal, versions })).outcomes);
    expect(await run({})).toEqual(['2.0.0']);
    expect(await run({ forecast: '^1' })).toEqual(['1.1.0']);
    expect(await run({ forecast: '~1.0' })).toEqual(['1.0.0']);
  });

  it('never get a call whose arguments they may not know', async () => {
    const { dispatcher } = await serving('1.0.0', '1.1.0');
    const { outcomes } = await dispatcher.execute(forecasts(20, 'kelvin'), { principal, tools: ['forecast@^1'] });
    expect(outcomes.map(({ error }) => error)).toEqual(repeat(20, () => undefined));
  });

  it('get no call as a prerelease that nobody asked for', async () => {
    const { dispatcher } = await serving('1.0.0', '1.1.0-rc.1');
    const { outcomes } = await dispatcher.execute(forecasts(20), { principal });
    expect(valuesOf(outcomes)).toEqual(['1.0.0']);
    const asked = await dispatcher.execute(forecasts(20), { principal, versions: { forecast: '1.1.0-rc.1' } });
    expect(valuesOf(asked.outcomes)).toEqual(['1.1.0-rc.1']);
  });

  it('pick up a call once, though ten workers cannot run it and one can', async () => {
    const { yard, workers, dispatcher } = await serving(...repeat(10, () => '1.0.0'), '2.0.0');
    const pickUps = await watchPickUps(yard, [...new Set(workers.map(({ pool }) => pool))]);
    const { outcomes } = await dispatcher.execute(forecasts(50), { principal, versions: { forecast: '^2' } });
    expect(valuesOf(outcomes)).toEqual(['2.0.0']);
    expect(outcomes.map(({ worker }) => worker)).toEqual(repeat(50, () => workers.at(-1)?.id));
    expect(await pickUps.of(outcomes.map(({ key }) => key))).toEqual(repeat(50, () => 1));
  });
});

/** One in eight stumbles once, one in eight takes longer than a stopping worker waits. */
const mixed = (count: number) =>
  Array.from({ length: count }, (_, i) =>
    i % 8 === 0
      ? toolCall('stumbling_forecast')
      : toolCall('forecast', { unit: 'celsius', ms: i % 8 === 1 ? 500 : 100 }),
  );

/** A backlog of 600 calls, and four users who each send eight and wait for them, again and again until it is stopped. */
function underLoad(dispatcher: Dispatcher) {
  const outcomes: Outcome[] = [];
  const stop = new AbortController();
  const run = async (userId: string, count: number): Promise<void> => {
    const ran = await dispatcher.execute(mixed(count), { principal: { owner: 'acme', userId } });
    outcomes.push(...ran.outcomes);
  };
  const again = async (userId: string): Promise<void> => {
    while (!stop.signal.aborted) await run(userId, 8);
  };
  const backlog = ['a', 'b', 'c'].map((userId) => run(userId, 200));
  const users = ['d', 'e', 'f', 'g'].map(again);
  return {
    outcomes,
    backlog: Promise.all(backlog),
    async stop() {
      stop.abort();
      await Promise.all([...backlog, ...users]);
    },
  };
}

const slots = 10;

/** Worker processes that serve this version, as `callyard worker` starts them. */
const processes = (yard: Callyard, version: string, count: number, settings: Record<string, string> = steady) =>
  workerProcesses(
    yard,
    count,
    { ...settings, FORECAST_VERSION: version, CALLYARD_CONCURRENCY: `${slots}` },
    './forecast-tools.ts',
  );

const poolOfVersion = (version: string) =>
  poolOf([forecast(version), stumblingForecast(version)].map(({ manifest }) => manifestHash(manifest)));

describe('workers of one version', () => {
  it('are replaced by those of the next under load, one killed, without one failed call', async () => {
    const yard = await setup();
    const mortal = { CALLYARD_LOCK_MS: '2000' }; // of the one that is killed, whose calls are missed soon
    const started = await Promise.all([processes(yard, '1.0.0', 1, mortal), processes(yard, '1.0.0', 2)]);
    const old = started.flat();
    const pickUps = await watchPickUps(yard, ['1.0.0', '1.1.0'].map(poolOfVersion));
    const dispatcher = await yard.dispatcher({ unservedMs: 10_000 });
    const load = underLoad(dispatcher);
    for (const [i, worker] of old.entries()) {
      await processes(yard, '1.1.0', 1);
      worker.process.kill(i === 0 ? 'SIGKILL' : 'SIGTERM');
      await ended(worker);
    }
    await load.backlog;
    await load.stop();
    const { outcomes } = load;
    expect(outcomes.filter(({ status }) => status !== 'completed')).toEqual([]);
    expect(new Set(outcomes.map(({ value }) => value))).toEqual(new Set(['1.0.0', '1.1.0']));

    // An execution for each call, and one more for a call that stumbles; being moved or lost spends none.
    const executions = outcomes.map(({ tool }) => (tool.name === 'stumbling_forecast' ? 2 : 1));
    expect(outcomes.map(({ attempts }) => attempts)).toEqual(executions);
    // Calls of the killed worker are picked up again by others: by those of its version if they still run when the
    // loss is found (then it counts as lost), else by the next. A worker that goes has at most its slots picked up again.
    const again = (await pickUps.of(outcomes.map(({ key }) => key))).map((count, i) => count - (executions[i] ?? 0));
    expect(Math.max(...again)).toBeLessThanOrEqual(old.length);
    const inAll = again.reduce((sum, count) => sum + count, 0);
    expect(inAll).toBeGreaterThan(0);
    // Others are picked up twice where a grant was too old when a worker came to it, which is asked for anew.
    const ofGone = again.filter((_, i) =>
      outcomes[i]?.waits.some(({ reason }) => ['lost', 'shutdown'].includes(reason)),
    );
    expect(ofGone.length).toBeLessThanOrEqual(old.length * slots);
  }, 60_000);
});

describe('a job that only a newer worker understands', () => {
  /** What a dispatcher of a later release might add. */
  async function fromLater() {
    const { yard, workers } = await serving('1.0.0', '1.0.0', '1.0.0');
    const queue = new Queue(yard.names.queue(workers[0]?.pool ?? ''), {
      prefix: yard.names.bullPrefix,
      connection: { url: yard.redisUrl },
    });
    onTestFinished(() => queue.close());
    await queue.add('forecast', { v: 2, what: 'nobody here knows' }, { jobId: 'later.0.0' });
    /** The job once workers have handed it back this often. */
    const handedBack = async (times: number): Promise<Job> => {
      // Read after it is delayed: what was read while it was on its way there lacks its delay.
      const find = async () => {
        if ((await queue.getJobState('later.0.0')) !== 'delayed') return undefined;
        const job = await queue.getJob('later.0.0');
        return job?.attemptsStarted === times ? job : undefined;
      };
      let found: Job | undefined;
      await expect.poll(async () => (found = await find())).toBeDefined();
      return found as unknown as Job;
    };
    return { yard, handedBack };
  }

  it('is handed back for longer each time, which spends no attempt', async () => {
    const { handedBack } = await fromLater();
    const delays: number[] = [];
    for (let times = 1; times <= 5; times += 1) {
      const job = await handedBack(times);
      expect(job.attemptsMade).toBe(0);
      delays.push(Math.round(job.delay / 100) * 100); // a moment passes before BullMQ reads the clock
      await job.promote();
    }
    expect(delays).toEqual([1_000, 2_000, 4_000, 8_000, 16_000]);
  });

  it('is answered when no newer worker has come for an hour', async () => {
    const { yard, handedBack } = await fromLater();
    for (let times = 1; times <= 12; times += 1) await (await handedBack(times)).promote();
    const key = yard.names.outcome('later.0.0');
    await expect.poll(() => yard.redis.exists(key)).toBe(1);
    expect(parseOutcome((await yard.redis.get(key)) ?? '')).toMatchObject({
      status: 'refused',
      attempts: 0,
      error: { code: 'tool_unavailable' },
    });
  });
});

describe('a run', () => {
  it('goes on when nobody serves its tool any more, and with the next version that comes', async () => {
    const { workers, dispatcher, yard } = await serving('1.0.0');
    const model = scriptedModel(async ({ turn }) => {
      if (turn === 0) await workers[0]?.close();
      if (turn === 1) await yard.worker([forecast('1.2.0')]);
      return turn < 2 ? proposes(...forecasts(1)) : says('done');
    });
    const { state, outcomes } = await dispatcher.run({ model, principal, messages: [], tools: ['forecast@^1'] });
    expect(state).toBe('completed');
    expect(outcomes.map(({ error, value }) => error?.code ?? value)).toEqual(['tool_unavailable', '1.2.0']);
  });
});
