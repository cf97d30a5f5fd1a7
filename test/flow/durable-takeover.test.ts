import { describe, expect, it } from 'vitest';
import { asksOf, play } from '../support/played-model.ts';
import { principal, proposes, says, setup, toolCall, type Callyard } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { dispatcherProcesses, ended, steady, workerProcesses } from '../support/worker-process.ts';
import type { ServingProcess } from '../../packages/cli/src/processes.ts';

const { owner } = principal;
const nap = (ms: number) => toolCall('nap', { ms });
const napOnce = (ms: number) => toolCall('nap_once', { ms });

type Settings = Record<string, string>;

/** Workers with the tools of process-tools.ts, dispatcher processes that drive runs, and one here that does not. */
async function fleet(workers = 1, dispatchers = 2, ofDispatchers: Settings = {}, ofWorkers: Settings = steady) {
  const yard = await setup();
  const [serving, driving] = await Promise.all([
    workerProcesses(yard, workers, ofWorkers),
    dispatcherProcesses(yard, dispatchers, ofDispatchers),
  ]);
  const dispatcher = await yard.dispatcher();
  await dispatcher.waitForTools(['nap', 'nap_once', 'hold']);
  const submit = async (...lines: Parameters<typeof play>) =>
    (await dispatcher.submit({ messages: play(...lines), principal, model: 'played' })).runId;
  /** Those that drive a run, and the others. */
  const holding = async (runId: string) => {
    await expect.poll(async () => (await dispatcher.show(runId, { owner })).holder).toBeDefined();
    const { holder } = await dispatcher.show(runId, { owner });
    return driving.find(({ id }) => id === holder) as ServingProcess;
  };
  return { yard, serving, driving, dispatcher, submit, holding };
}

/** How often the handler of each call of a turn was started. */
const startsOf = async ({ redis, names: { tag } }: Callyard, runId: string, calls: number, turn = 0) =>
  Promise.all(Array.from({ length: calls }, (_, i) => redis.llen(`${tag}:starts:${runId}.${turn}.${i}`)));

const kill = async (one: ServingProcess): Promise<void> => {
  one.process.kill('SIGKILL');
  await ended(one);
};

describe('a run whose dispatcher is killed', () => {
  it('while it asks the model is asked once more, and goes on', async () => {
    const { yard, dispatcher, submit, holding } = await fleet();
    const runId = await submit({ ...proposes(nap(1)), hangs: 1 }, says('Done.'));
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    await kill(await holding(runId));
    const run = await dispatcher.wait(runId, { owner });
    expect(run).toMatchObject({ state: 'completed', text: 'Done.', holds: 2, turns: 2 });
    expect(await asksOf(yard, runId)).toEqual([2, 1]);
    expect(await startsOf(yard, runId, 1)).toEqual([1]);
  });

  it.each(['parallel', 'sequential'] as const)(
    'while its calls run in %s is not asked again, and each call runs once',
    async (mode) => {
      const { yard, dispatcher, holding } = await fleet();
      const starts = await watchStarts(yard);
      const messages = play(proposes(nap(1_500), napOnce(1_500), nap(1), napOnce(1)), says('Done.'));
      const { runId } = await dispatcher.submit({ messages, principal, model: 'played', mode });
      await starts.reach(mode === 'parallel' ? 4 : 1);
      starts.stop();
      await kill(await holding(runId));
      const run = await dispatcher.wait(runId, { owner });
      expect(run.outcomes.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 'completed'));
      expect(run.state).toBe('completed');
      expect(run.holds).toBeGreaterThan(1);
      expect(await asksOf(yard, runId)).toEqual([1, 1]);
      expect(await startsOf(yard, runId, 4)).toEqual([1, 1, 1, 1]);
    },
  );

  it('together with the worker of its calls runs again those that may run again', async () => {
    const { yard, serving, dispatcher, submit, holding } = await fleet(2, 2, {}, {});
    const starts = await watchStarts(yard);
    const runId = await submit(proposes(toolCall('long_nap_first'), toolCall('hold_once')), says('Done.'));
    await starts.reach(2);
    starts.stop();
    const pids = await Promise.all([0, 1].map((i) => yard.redis.lindex(`${yard.names.tag}:starts:${runId}.0.${i}`, 0)));
    const victims = serving.filter(({ pid }) => pids.includes(String(pid)));
    await Promise.all([kill(await holding(runId)), ...victims.map(kill)]);
    if (victims.length === 2) await workerProcesses(yard, 1);
    const { outcomes, state } = await dispatcher.wait(runId, { owner });
    expect(outcomes.map(({ status, error }) => error?.code ?? status)).toEqual(['completed', 'outcome_unknown']);
    expect(state).toBe('completed');
    expect(await startsOf(yard, runId, 2)).toEqual([2, 1]);
  });

  it('is driven on by the next dispatcher that comes, where there was no other', async () => {
    const { yard, dispatcher, submit, holding } = await fleet(1, 1);
    const starts = await watchStarts(yard);
    const runId = await submit(proposes(nap(50)), proposes(nap(1)), says('Done.'));
    await starts.reach(1);
    starts.stop();
    await kill(await holding(runId));
    await dispatcherProcesses(yard, 1);
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', turns: 3 });
    expect(await startsOf(yard, runId, 1)).toEqual([1]);
  });

  it('has its calls moved where their pool died, too, before anybody took them up', async () => {
    const { yard, serving, dispatcher, submit, holding } = await fleet(1);
    serving[0]?.process.kill('SIGSTOP'); // takes nothing, and is in the catalog until the test says otherwise
    const [listed = ''] = await yard.redis.zrange(yard.names.workers, '0', '-1');
    await yard.redis.zadd(yard.names.workers, Date.now() + 60_000, listed);
    const runId = await submit(proposes(nap(1), napOnce(1)), says('Done.'));
    await expect.poll(() => yard.redis.hexists(yard.names.run(runId), 'c:0.1')).toBe(1);
    await Promise.all([kill(await holding(runId)), ...serving.map(kill)]);
    await yard.redis.zrem(yard.names.workers, listed);
    await workerProcesses(yard, 1, {}, './other-tools.ts');
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', turns: 2 });
    expect(await startsOf(yard, runId, 2)).toEqual([1, 1]);
  });
});

describe('a dispatcher that was stopped for longer than its lock', () => {
  it('writes nothing when it goes on', async () => {
    const { yard, dispatcher, submit, holding } = await fleet();
    const runId = await submit({ ...proposes(nap(1)), hangs: 1 }, { ...says('Done.'), hangs: 1 });
    await expect.poll(() => asksOf(yard, runId)).toEqual([1]);
    const frozen = await holding(runId);
    frozen.process.kill('SIGSTOP');
    await expect.poll(() => asksOf(yard, runId), { timeout: 10_000 }).toEqual([2, 1]);
    const record = async () => {
      const { aliveAt: _ofItsHolder, ...fields } = await yard.redis.hgetall(yard.names.run(runId));
      return fields;
    };
    const before = await record();
    expect(before).toMatchObject({ fence: '2', holder: expect.not.stringContaining(frozen.id) as string });
    frozen.process.kill('SIGCONT');
    // It says so as soon as it looks, and then takes runs again as any other.
    const next = await dispatcher.submit({ messages: play(says('Next.')), principal, model: 'played' });
    await dispatcher.wait(next.runId, { owner });
    await expect.poll(() => yard.redis.llen(`${yard.names.tag}:unanswered`)).toBe(1); // its request was aborted
    expect(await record()).toEqual(before);
    await dispatcher.cancel(runId, { owner });
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'cancelled', turns: 1, holds: 2 });
  });
});

describe('a dispatcher that closes', () => {
  it('hands its runs over at once: those that ask the model, and those that wait for calls', async () => {
    const longLock = { CALLYARD_LOCK_MS: '60000', CALLYARD_STALLED_CHECK_MS: '3000' };
    const { yard, driving, dispatcher, submit } = await fleet(1, 1, longLock);
    const starts = await watchStarts(yard);
    const runs = await Promise.all([
      submit({ ...says('Asked.'), hangs: 1 }),
      submit(proposes(nap(800), napOnce(800)), says('Called.')),
    ]);
    await starts.reach(2);
    starts.stop();
    await expect.poll(() => asksOf(yard, runs[0])).toEqual([1]);
    driving[0]?.process.kill('SIGTERM');
    await ended(driving[0] as ServingProcess);
    const left = await Promise.all(runs.map((runId) => dispatcher.show(runId, { owner })));
    expect(left.map(({ state, holder }) => [state, holder])).toEqual([
      ['queued', undefined],
      ['queued', undefined],
    ]);
    await dispatcherProcesses(yard, 1);
    const ends = await Promise.all(runs.map((runId) => dispatcher.wait(runId, { owner })));
    expect(ends.map(({ text, holds }) => [text, holds])).toEqual([
      ['Asked.', 2],
      ['Called.', 2],
    ]);
    expect(await asksOf(yard, runs[0])).toEqual([2]);
    expect(await asksOf(yard, runs[1])).toEqual([1, 1]);
    expect(await startsOf(yard, runs[1], 2)).toEqual([1, 1]);
  });
});
