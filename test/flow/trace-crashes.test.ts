import { describe, expect, it } from 'vitest';
import { scriptedModel } from '@callyard/dispatcher';
import { all, atOnce } from '../support/dead.ts';
import { waitedFor } from '../support/outcome.ts';
import { asksOf, playedModel } from '../support/played-model.ts';
import { principal, proposes, says, toolCall } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { expectTree, kill, spansOf, traceThisFile, tracedYard } from '../support/traced-yard.ts';
import { waitIn } from '../support/trace-notation.ts';
import { ended, steady } from '../support/worker-process.ts';
import type { ReceivedSpan } from '../../packages/cli/src/otlp-receiver.ts';
import type { ServingProcess } from '../../packages/cli/src/processes.ts';

traceThisFile();

const { owner } = principal;
type Yard = Awaited<ReturnType<typeof tracedYard>>;

/** Resolves with the dispatcher that drives a run. */
async function holderOf({ dispatcher, driving }: Yard, runId: string): Promise<ServingProcess> {
  const { holder } = await dispatcher.show(runId, { owner });
  return driving.find(({ id }) => id === holder) as ServingProcess;
}

/** Resolves when a span of that name has come: what is killed before has told of nothing. */
async function told(traceId: string, name: string): Promise<void> {
  await expect.poll(() => spansOf(traceId).map((span) => span.name), { timeout: 10_000 }).toContain(name);
}

describe('the trace of a call whose worker is killed', () => {
  it('says at the next pick-up that one was lost, and for how long nothing is known', async () => {
    const traced = await tracedYard({ mortal: 'workers' });
    const { serving, dispatcher, startWorkers } = traced;
    const starts = await watchStarts(traced.yard);
    const { runId, traceId } = await traced.submit(proposes(toolCall('long_nap_first')), says('Done.'));
    await starts.reach(1);
    starts.stop();
    await told(traceId, 'send calls');
    await kill(serving[0] as ServingProcess);
    await startWorkers(1);
    const run = await dispatcher.wait(runId, { owner });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls long_nap_first ~ chat played',
      '      process calls long_nap_first #1 completed wait:lost',
      '        execute_tool long_nap_first',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    const process = spans.find(({ name }) => name === 'process calls');
    expect(process?.attributes).toMatchObject({ 'callyard.lost': 1, 'callyard.wait.reason': 'lost' });
    expect(waitIn(spans, 'lost')?.['callyard.wait.ms']).toBeGreaterThan(500);
    const waits = expect.arrayContaining([{ reason: 'lost', ms: expect.any(Number) }]) as unknown;
    expect(run.outcomes[0]).toMatchObject({ lost: 1, waits });
  });
});

/** A durable run that waits for its only call, which ends when it is let go, who holds it, and another dispatcher. */
async function holding() {
  const traced = await tracedYard({ mortal: 'dispatchers' });
  const starts = await watchStarts(traced.yard);
  const { runId, traceId } = await traced.submit(proposes(toolCall('held_first')), says('Done.'));
  await starts.reach(1);
  starts.stop();
  await Promise.all([told(traceId, 'send calls'), traced.startDispatchers(1)]);
  return { traced, runId, traceId, holder: await holderOf(traced, runId) };
}

/** A durable run whose first questions hang, who holds it, and another dispatcher. */
async function asking(hangs = 1) {
  const traced = await tracedYard({ mortal: 'dispatchers' });
  const { runId, traceId } = await traced.submit({ ...says('Done.'), hangs });
  await expect.poll(() => asksOf(traced.yard, runId)).toEqual([1]);
  traced.driving.push(...(await traced.startDispatchers(1, hangs > 1 ? {} : steady)));
  return { traced, runId, traceId, holder: await holderOf(traced, runId) };
}

/** When the hold began, and when its dispatcher was last known to live, once that is as long as this. */
async function livedFor({ yard }: Yard, runId: string, ms: number): Promise<{ heldAt: number; aliveAt: number }> {
  const times = async () => {
    const [heldAt, aliveAt] = await yard.redis.hmget(yard.names.run(runId), 'heldAt', 'aliveAt');
    return { heldAt: Number(heldAt), aliveAt: Number(aliveAt) };
  };
  const lived = async () => (({ heldAt, aliveAt }) => aliveAt - heldAt)(await times());
  await expect.poll(lived, { timeout: 10_000 }).toBeGreaterThan(ms);
  return times();
}

/** That the lost hold is as long as it was, and that the next one says for how long nobody drove the run. */
function expectTimesOf(spans: readonly ReceivedSpan[], known: { heldAt: number; aliveAt: number }, killedAt: number) {
  const holds = spans.filter(({ name }) => name.startsWith('invoke')).toSorted((a, b) => a.startMs - b.startMs);
  const [lost, next] = holds as [ReceivedSpan, ReceivedSpan];
  const endMs = lost.startMs + lost.durationMs;
  expect(lost.startMs).toBe(known.heldAt);
  expect(endMs).toBeGreaterThanOrEqual(known.aliveAt);
  expect(endMs).toBeLessThan(killedAt + 50); // when it was dead; clocks of two processes, one of them Redis
  const begun = spans.filter(({ parentSpanId }) => parentSpanId === lost.spanId);
  expect(begun.filter((span) => span.startMs < lost.startMs - 50 || span.startMs > endMs)).toEqual([]);
  expect(next.attributes['callyard.hold.gap.ms']).toBeGreaterThan(0);
  expect(Math.abs(Number(next.attributes['callyard.hold.gap.ms']) - (next.startMs - endMs))).toBeLessThan(200);
}

describe('the trace of a run whose dispatcher is killed', () => {
  it('while calls run has no orphans: the next one tells of its hold, and for how long nobody drove the run', async () => {
    const { traced, runId, traceId, holder } = await holding();
    const known = await livedFor(traced, runId, 1_000);
    await kill(holder);
    const killedAt = Date.now();
    await traced.letGo(runId, traceId);
    expect(await traced.dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 2 });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 lost !lost',
      '    chat played',
      '    send calls held_first ~ chat played',
      '      process calls held_first #1 completed',
      '        execute_tool held_first',
      '  invoke_agent callyard hold=2 taken-over ended completed',
      '    send calls held_first ~ chat played',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    expectTimesOf(spans, known, killedAt);
  });

  it('or stopped for long, tells of its hold once: who took over has told', async () => {
    const { traced, runId, traceId, holder } = await holding();
    holder.process.kill('SIGSTOP');
    await traced.letGo(runId, traceId);
    expect(await traced.dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 2 });
    holder.process.kill('SIGCONT');
    await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 lost !lost',
      '    chat played',
      '    send calls held_first ~ chat played',
      '      process calls held_first #1 completed',
      '        execute_tool held_first',
      '    gather calls 1 calls 1 missing',
      '  invoke_agent callyard hold=2 taken-over ended completed',
      '    send calls held_first ~ chat played',
      '    gather calls 1 calls',
      '    chat played',
    ]);
  });

  it('while it asks shows the question of the next one alone', async () => {
    const { traced, runId, traceId, holder } = await asking();
    const known = await livedFor(traced, runId, 1_000); // nothing is written while a model answers
    await kill(holder);
    const killedAt = Date.now();
    expect(await traced.dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 2 });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 lost !lost',
      '  invoke_agent callyard hold=2 taken-over ended completed',
      '    chat played',
    ]);
    expectTimesOf(spans, known, killedAt);
  });

  it('and the next one as soon as it holds the run has both holds told of by the third', async () => {
    const { traced, runId, traceId, holder } = await asking(2);
    await kill(holder);
    await expect.poll(() => asksOf(traced.yard, runId), { timeout: 10_000, interval: 10 }).toEqual([2]);
    await kill(await holderOf(traced, runId));
    const { dispatcher, redis, names } = traced.yard;
    await dispatcher({ model: playedModel(redis, names), stalledCheckMs: 300 });
    expect(await traced.dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 3 });
    await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 lost !lost',
      '  invoke_agent callyard hold=2 lost !lost',
      '  invoke_agent callyard hold=3 taken-over ended completed',
      '    chat played',
    ]);
  });

  it('and stopped instead has a hold that was handed over', async () => {
    const { traced, runId, traceId, holder } = await asking();
    holder.process.kill('SIGTERM');
    expect(await traced.dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 2 });
    await ended(holder); // told twice to stop, it would be killed
    await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted handed-over',
      '    chat played',
      '  invoke_agent callyard hold=2 handed-over ended completed',
      '    chat played',
    ]);
  });
});

describe('the trace of a run that is put away', () => {
  it('has a hold that was parked, and one that woke', async () => {
    const traced = await tracedYard({ settings: { CALLYARD_PARK_AFTER_MS: '100' } });
    const { runId, traceId } = await traced.submit(proposes(toolCall('nap', { ms: 2_500 })), says('Done.'));
    expect(await traced.dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', holds: 2 });
    await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted parked',
      '    chat played',
      '    send calls nap ~ chat played',
      '      process calls nap #1 completed',
      '        execute_tool nap',
      '    gather calls 1 calls 1 missing',
      '  invoke_agent callyard hold=2 woken ended completed',
      '    chat played',
    ]);
  });
});

describe('the trace of a dead letter that is retried', () => {
  it('is a new one, linked to that of the call', async () => {
    const traced = await tracedYard();
    const { yard, submit, dispatcher } = traced;
    const { runId, traceId } = await submit(proposes(toolCall('brittle')), says('Done.'));
    await dispatcher.wait(runId, { owner });
    await expect.poll(() => all(dispatcher.deadLetters.list())).toHaveLength(1);
    await yard.redis.set(`${yard.names.tag}:mended`, '1');
    const [retried] = await all(dispatcher.deadLetters.retry({ all: true }, atOnce));
    if (!retried || 'skipped' in retried) throw new Error('nothing was retried');
    const outcome = await retried.outcome();
    expect(outcome.traceId).not.toBe(traceId);
    const failed = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls brittle ~ chat played',
      '      process calls brittle #1 failed !tool_error',
      '        execute_tool brittle !tool_error',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    const replay = await expectTree(traced, outcome.traceId ?? '', [
      'send calls brittle ~ send calls',
      '  process calls brittle #1 completed',
      '    execute_tool brittle',
    ]);
    const sent = [...failed, ...replay].filter(({ name }) => name === 'send calls');
    expect(sent[1]?.links).toEqual([{ traceId, spanId: sent[0]?.spanId }]);
  });
});

describe('the trace of a call that nobody serves', () => {
  it('says how long it waited for a worker, where its pool had none when it was enqueued', async () => {
    const traced = await tracedYard({ settings: { CALLYARD_HEARTBEAT_MS: '1000' } });
    const { yard, serving, submit, dispatcher, startWorkers } = traced;
    await kill(serving[0] as ServingProcess); // which the catalog lists for two more seconds
    const { runId, traceId } = await submit(proposes(toolCall('nap', { ms: 1 })), says('Done.'));
    await told(traceId, 'send calls');
    await expect.poll(() => yard.redis.zcount(yard.names.workers, Date.now(), '+inf')).toBe(0);
    await startWorkers(1);
    const { outcomes } = await dispatcher.wait(runId, { owner });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls nap ~ chat played',
      '      process calls nap #1 completed wait:no_worker',
      '        execute_tool nap',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    expect(waitIn(spans, 'no_worker')?.['callyard.wait.ms']).toBeGreaterThan(500);
    expect(waitedFor(outcomes[0])).toEqual(['no_worker']);
  });

  it('says so where it is sent, too, if it could not be enqueued', async () => {
    const { serving, dispatcher, startWorkers, stop } = await tracedYard({ dispatchers: 0 });
    const [worker] = serving as [ServingProcess];
    const model = scriptedModel(async ({ turn }) => {
      if (turn > 0) return says('Done.');
      worker.process.kill('SIGTERM');
      await ended(worker);
      return proposes(toolCall('nap', { ms: 1 }));
    });
    const running = dispatcher.run({ messages: [{ role: 'user', content: 'Sleep.' }], principal, model });
    await ended(worker);
    await startWorkers(1);
    const { traceId, outcomes } = await running;
    expect(waitedFor(outcomes[0])).toEqual(['no_worker']);
    const spans = await expectTree({ stop }, traceId ?? '', [
      'invoke_agent callyard completed',
      '  chat scripted',
      '  send calls nap wait:no_worker ~ chat scripted',
      '    process calls nap #1 completed wait:no_worker',
      '      execute_tool nap',
      '  gather calls 1 calls',
      '  chat scripted',
    ]);
    const sent = spans.filter(({ name }) => name === 'send calls');
    expect(waitIn(sent, 'no_worker')?.['callyard.wait.ms']).toBe(outcomes[0]?.waits[0]?.ms);
    expect(outcomes[0]?.waits[0]?.ms).toBeGreaterThan(300);
    expect(outcomes[0]?.waits[0]?.ms).toBeLessThanOrEqual((sent[0]?.durationMs ?? 0) + 1); // rounded
  });
});
