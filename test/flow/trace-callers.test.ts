import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { modelSaying, principal, proposes, says, toolCall } from '../support/setup.ts';
import { play } from '../support/played-model.ts';
import { expectTree, spansOf, traceThisFile, tracedYard } from '../support/traced-yard.ts';

traceThisFile();

const { owner } = principal;
const calls = [toolCall('nap', { ms: 1 })];
const messages = [{ role: 'user', content: 'Sleep.' }] as const;

/** The trace of a caller who is somewhere else. */
function callerTrace(flags = '01') {
  const [traceId, spanId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${flags}` };
}

describe("a caller's trace", () => {
  it('is gone on with by whatever it asks for', async () => {
    const traced = await tracedYard();
    const { dispatcher } = traced;
    const [ofSubmit, ofRun, ofExecute] = [callerTrace(), callerTrace(), callerTrace()];
    const { runId } = await dispatcher.submit({
      ...ofSubmit,
      messages: play(proposes(...calls), says('Done.')),
      principal,
      model: 'played',
    });
    expect((await dispatcher.wait(runId, { owner })).traceId).toBe(ofSubmit.traceId);
    const ran = await dispatcher.run({ ...ofRun, messages, principal, model: modelSaying(says('Good.')) });
    expect(ran.traceId).toBe(ofRun.traceId);
    const { outcomes } = await dispatcher.execute(calls, { ...ofExecute, principal });
    expect(outcomes[0]?.traceId).toBe(ofExecute.traceId);
    await expectTree(traced, ofSubmit.traceId, [
      '? submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls nap ~ chat played',
      '      process calls nap #1 completed',
      '        execute_tool nap',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    await expectTree(traced, ofRun.traceId, ['? invoke_agent callyard completed', '  chat scripted']);
    await expectTree(traced, ofExecute.traceId, [
      '? execute calls',
      '  send calls nap',
      '    process calls nap #1 completed',
      '      execute_tool nap',
      '  gather calls 1 calls',
    ]);
    const submitted = spansOf(ofSubmit.traceId).find(({ name }) => name === 'submit run');
    expect(submitted?.parentSpanId).toBe(ofSubmit.spanId);
  });

  it('that is not sampled is not, and stands in the outcome all the same', async () => {
    const traced = await tracedYard({ dispatchers: 0 });
    const unsampled = callerTrace('00');
    const { outcomes } = await traced.dispatcher.execute(calls, { ...unsampled, principal });
    expect(outcomes[0]?.traceId).toBe(unsampled.traceId);
    await expectTree(traced, unsampled.traceId, []);
  });

  it('is no part of what is asked: the same key in another trace is the same run', async () => {
    const { dispatcher } = await tracedYard({ workers: 1 });
    const asked = { messages: play(says('Done.')), principal, model: 'played', key: 'once' };
    const submit = () => dispatcher.submit({ ...asked, traceparent: callerTrace().traceparent });
    const first = await submit();
    expect(await submit()).toEqual({ runId: first.runId, isNew: false });
  });
});
