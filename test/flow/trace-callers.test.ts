import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { asks, asksAlone } from '../support/asking-tools.ts';
import { modelSaying, principal, proposes, says, setup, toolCall } from '../support/setup.ts';
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

describe('a service behind a tool', () => {
  it("that its policy marks is told the caller's trace with its state, from an isolated tool, too", async () => {
    const heard = new Map<string | undefined, IncomingMessage['headers']>();
    const server = createServer(({ url, headers }, response) => {
      heard.set(url, headers);
      response.end();
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await once(server, 'listening');
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const yard = await setup();
    await yard.worker([asks, asksAlone]);
    const dispatcher = await yard.dispatcher();
    const { traceId, traceparent } = callerTrace();
    const asked = [toolCall('asks', { url: `${base}/plain` }), toolCall('asks_alone', { url: `${base}/alone` })];
    const { outcomes } = await dispatcher.execute(asked, { principal, traceparent, tracestate: 'vendor=7' });
    expect(outcomes).toMatchObject([{ value: 200 }, { value: 200 }]);
    const attempts = () => spansOf(traceId).filter(({ name }) => name.startsWith('execute_tool'));
    await expect.poll(() => attempts().length).toBe(2);
    for (const [path, name] of [
      ['/plain', 'execute_tool asks'] as const,
      ['/alone', 'execute_tool asks_alone'] as const,
    ]) {
      const spanId = attempts().find((span) => span.name === name)?.spanId;
      expect(heard.get(path)).toMatchObject({ traceparent: `00-${traceId}-${spanId}-01`, tracestate: 'vendor=7' });
    }
  });
});

describe('the trace of a submit whose key was used before', () => {
  it('tells of the run that stands for it, and leads there; whom it conflicts with has made a mistake', async () => {
    const { dispatcher, receiver } = await tracedYard({ workers: 1 });
    const [first, again, other] = [callerTrace(), callerTrace(), callerTrace()];
    const submit = ({ traceparent }: typeof first, words: string) =>
      dispatcher.submit({ messages: play(says(words)), principal, model: 'played', key: 'once', traceparent });
    const { runId } = await submit(first, 'Done.');
    await submit(again, 'Done.');
    await expect(submit(other, 'Not yet.')).rejects.toMatchObject({ code: 'conflict' });
    const submitted = (at: typeof first) => spansOf(at.traceId).find(({ name }) => name === 'submit run');
    await receiver.until(() => submitted(other) !== undefined);
    const { spanId } = submitted(first) ?? {};
    for (const at of [again, other]) {
      expect(submitted(at)).toMatchObject({ status: 'UNSET', links: [{ traceId: first.traceId, spanId }] });
      expect(submitted(at)?.attributes['callyard.run.id']).toBe(runId);
    }
    expect(submitted(other)?.attributes['error.type']).toBe('conflict');
  });
});
