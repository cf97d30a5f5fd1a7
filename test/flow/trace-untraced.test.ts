import { describe, expect, it } from 'vitest';
import { play, playedModel } from '../support/played-model.ts';
import { principal, proposes, says, toolCall } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { expectTree, kill, receiveSpans, tracedYard } from '../support/traced-yard.ts';
import type { ServingProcess } from '../../packages/cli/src/processes.ts';

receiveSpans();

const { owner } = principal;

/** A durable run that waits for its only call when the dispatcher that holds it is killed; another one is there. */
async function killedWhileNapping(caller: { traceparent?: string; tracestate?: string } = {}) {
  const traced = await tracedYard({ mortal: 'dispatchers', settings: { OTEL_PROPAGATORS: 'b3' } });
  const { yard, dispatcher, driving, receiver, startDispatchers } = traced;
  const starts = await watchStarts(yard);
  const messages = play(proposes(toolCall('held_first')), says('Done.'));
  const { runId } = await dispatcher.submit({ ...caller, messages, principal, model: 'played' });
  await starts.reach(1);
  starts.stop();
  const ofRun = () => receiver.spans.filter(({ attributes }) => attributes['callyard.run.id'] === runId);
  await Promise.all([receiver.until(() => ofRun().some(({ name }) => name === 'send calls')), startDispatchers(1)]);
  const { holder, traceId = '' } = await dispatcher.show(runId, { owner });
  await kill(driving.find(({ id }) => id === holder) as ServingProcess);
  await traced.letGo(runId, traceId);
  const run = await dispatcher.wait(runId, { owner });
  return { traced, run, ofRun };
}

describe('a run that was submitted where nothing traces', () => {
  it("goes on with its caller's trace all the same, whatever OpenTelemetry propagates", async () => {
    const [traceId, parent] = ['c'.repeat(32), 'd'.repeat(16)];
    const { traced, run, ofRun } = await killedWhileNapping({ traceparent: `00-${traceId}-${parent}-01` });
    expect(run.traceId).toBe(traceId);
    expect(run.outcomes[0]?.traceId).toBe(traceId);
    const spans = await expectTree(traced, traceId, [
      '? invoke_agent callyard hold=1 lost !lost',
      '  chat played',
      '  send calls held_first ~ chat played',
      '    process calls held_first #1 completed',
      '      execute_tool held_first',
      '? invoke_agent callyard hold=2 taken-over ended completed',
      '  send calls held_first ~ chat played',
      '  gather calls 1 calls',
      '  chat played',
    ]);
    expect(ofRun()).toHaveLength(spans.length);
    const holds = spans.filter(({ name }) => name.startsWith('invoke_agent'));
    expect(holds.map(({ parentSpanId }) => parentSpanId)).toEqual([parent, parent]);
  });

  it('has one trace, which begins with its first hold, also where that one was killed', async () => {
    const { traced, run, ofRun } = await killedWhileNapping();
    expect(run.traceId).toMatch(/^[0-9a-f]{32}$/);
    expect(run.outcomes[0]?.traceId).toBe(run.traceId);
    const spans = await expectTree(traced, run.traceId ?? '', [
      'invoke_agent callyard hold=1 lost !lost',
      '  chat played',
      '  send calls held_first ~ chat played',
      '    process calls held_first #1 completed',
      '      execute_tool held_first',
      '  invoke_agent callyard hold=2 taken-over ended completed',
      '    send calls held_first ~ chat played',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    expect(ofRun()).toHaveLength(spans.length);
  });
});

describe('where nothing traces', () => {
  it("what runs and executes calls goes on with its caller's trace, and what drives a durable run with that of the run", async () => {
    const traced = await tracedYard({ dispatchers: 0 });
    const { yard, dispatcher } = traced;
    const calls = [toolCall('nap', { ms: 1 })];
    const caller = (of: string) => ({ principal, traceparent: `00-${of.repeat(32)}-${'d'.repeat(16)}-01` });
    const messages = play(proposes(...calls), says('Done.'));
    const model = playedModel(yard.redis, yard.names);
    const executed = await dispatcher.execute(calls, caller('1'));
    const ran = await dispatcher.run({ ...caller('2'), messages, model });
    const driver = await yard.dispatcher({ model, unservedMs: 15_000 });
    await driver.waitForTools(['nap']);
    const { runId } = await driver.submit({ ...caller('3'), messages, model: 'played' });
    const driven = await driver.wait(runId, { owner });
    expect([ran.traceId, driven.traceId]).toEqual(['2'.repeat(32), '3'.repeat(32)]);
    for (const [of, { outcomes }] of [['1', executed] as const, ['2', ran] as const, ['3', driven] as const]) {
      expect(outcomes[0]?.traceId).toBe(of.repeat(32));
      await expectTree(traced, of.repeat(32), ['? process calls nap #1 completed', '  execute_tool nap']);
    }
  });
});
