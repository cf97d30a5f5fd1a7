import { describe, expect, it } from 'vitest';
import { waitedFor } from '../support/outcome.ts';
import { principal, proposes, says, toolCall } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { waitingFor } from '../support/approvals.ts';
import { expectTree, traceThisFile, tracedYard } from '../support/traced-yard.ts';
import { waitIn } from '../support/trace-notation.ts';
import type { ReceivedSpan } from '../../packages/cli/src/otlp-receiver.ts';

traceThisFile();

const { owner } = principal;
const nap = (ms = 1) => toolCall('nap', { ms });
const endOf = (span: ReceivedSpan | undefined) => (span ? span.startMs + span.durationMs : Number.NaN);
const napped = ['    send calls nap ~ chat played', '      process calls nap #1 completed', '        execute_tool nap'];

describe('the trace of a run', () => {
  it('goes through all processes: submit, hold, model, calls, and what the turn waited for', async () => {
    const traced = await tracedYard({ workers: 2 });
    const { yard, submit, dispatcher } = traced;
    const { runId, traceId } = await submit(proposes(nap(), toolCall('held_first'), nap()), says('Done.'));
    const others = [0, 2].map((index) => yard.names.outcome(`${runId}.0.${index}`));
    await expect.poll(() => yard.redis.exists(others)).toBe(2);
    await yard.redis.rpush(`${yard.names.tag}:starts:${runId}.0.1:let-go`, 'go');
    const run = await dispatcher.wait(runId, { owner });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      ...napped,
      ...napped.map((line) => line.replace('nap', 'held_first')),
      ...napped,
      '    gather calls 3 calls',
      '    chat played',
    ]);
    expect(new Set(spans.map(({ service }) => service))).toEqual(
      new Set(['test', 'callyard-dispatcher', 'callyard-worker']),
    );
    expect(spans.every(({ attributes }) => attributes['callyard.run.id'] === runId)).toBe(true);
    expect(run.outcomes.map((outcome) => outcome.traceId)).toEqual([traceId, traceId, traceId]);
    const gather = spans.find(({ name }) => name === 'gather calls');
    expect(gather?.attributes['callyard.gather.slowest']).toBe(`${runId}.0.1`);
    const ends = ['gather calls', 'execute_tool held_first'].map((one) =>
      endOf(spans.find(({ name }) => name === one)),
    );
    expect(ends[0]).toBeGreaterThanOrEqual(ends[1] ?? Number.NaN);
  });

  it('links each call to the very question whose answer proposed it', async () => {
    const traced = await tracedYard();
    const { submit, dispatcher } = traced;
    const { runId, traceId } = await submit(proposes(nap(), nap()), proposes(nap()), says('Done.'));
    await dispatcher.wait(runId, { owner });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      ...napped,
      ...napped,
      '    gather calls 2 calls',
      '    chat played',
      ...napped,
      '    gather calls 1 calls',
      '    chat played',
    ]);
    const chats = spans.filter(({ name }) => name === 'chat played').toSorted((a, b) => a.startMs - b.startMs);
    const asked = chats.map(({ spanId }) => [{ traceId, spanId }]);
    const linksOf = (turn: number, index: number) =>
      spans.find(
        ({ name, attributes }) =>
          name === 'send calls' && attributes['messaging.message.id'] === `${runId}.${turn}.${index}`,
      )?.links;
    expect([linksOf(0, 0), linksOf(0, 1), linksOf(1, 0)]).toEqual([asked[0], asked[0], asked[1]]);
  });

  it('has the attempts of a call as siblings, and says what each waited for', async () => {
    const traced = await tracedYard();
    const { submit, dispatcher } = traced;
    const { runId, traceId } = await submit(proposes(toolCall('stumble')), says('Done.'));
    const run = await dispatcher.wait(runId, { owner });
    await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls stumble ~ chat played',
      '      process calls stumble #1 retry !tool_error',
      '        execute_tool stumble !tool_error',
      '      process calls stumble #2 completed wait:retry',
      '        execute_tool stumble',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    const [outcome] = run.outcomes;
    expect(outcome).toMatchObject({ status: 'completed', attempts: 2 });
    expect(waitedFor(outcome)).toEqual(['retry']);
    const failed = { attempt: 1, code: 'tool_error', message: 'stumbled', worker: outcome?.worker };
    expect(outcome?.failedAttempts).toEqual([{ ...failed, at: expect.any(Number) }]);
  });

  it('says for which limit, for whom and how long a call waited', async () => {
    const traced = await tracedYard();
    const { submit, dispatcher } = traced;
    const { runId, traceId } = await submit(proposes(toolCall('metered'), toolCall('metered')), says('Done.'));
    const run = await dispatcher.wait(runId, { owner });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls metered ~ chat played',
      '      process calls metered #1 completed',
      '        execute_tool metered',
      '    send calls metered ~ chat played',
      '      process calls metered #1 completed wait:rate/user',
      '        execute_tool metered',
      '    gather calls 2 calls',
      '    chat played',
    ]);
    const wait = waitIn(spans, 'rate');
    expect(wait).toMatchObject({ 'callyard.wait.bucket': expect.stringMatching(/^r:/), 'callyard.wait.per': 'user' });
    expect(wait?.['callyard.wait.ms']).toBeGreaterThan(150);
    const waited = spans.find(({ attributes }) => attributes['callyard.wait.reason'] === 'rate');
    expect(waited?.attributes).toMatchObject({ ...wait, 'callyard.class': 'interactive' });
    expect(waited?.attributes['callyard.lane']).toMatch(/^\w+:i:\w+:\w+$/);
    expect(run.outcomes[1]?.waits[0]).toMatchObject({ reason: 'rate', per: 'user', bucket: expect.any(String) });
  });

  it('shows a refused call where it was refused: by its worker, or by the dispatcher without a job', async () => {
    const traced = await tracedYard();
    const { submit, dispatcher } = traced;
    const { runId, traceId } = await submit(proposes(toolCall('nap', { ms: 'no' }), toolCall('nopes')), says('Sorry.'));
    const run = await dispatcher.wait(runId, { owner });
    await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls nap ~ chat played',
      '      process calls nap #1 refused (invalid_arguments)',
      '    settle calls _OTHER refused (unknown_tool)',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    expect(run.outcomes.map((outcome) => outcome.traceId)).toEqual([traceId, traceId]);
  });

  it('ends with a cancelled run: its calls are settled by the dispatcher, and its worker is told', async () => {
    const traced = await tracedYard();
    const { yard, submit, dispatcher } = traced;
    const starts = await watchStarts(yard);
    const { runId, traceId } = await submit(proposes(toolCall('hold')), says('Never.'));
    await starts.reach(1);
    starts.stop();
    await dispatcher.cancel(runId, { owner });
    const run = await dispatcher.wait(runId, { owner });
    expect(run.outcomes[0]).toMatchObject({ status: 'cancelled', traceId });
    await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended cancelled',
      '    chat played',
      '    send calls hold ~ chat played',
      '      process calls hold #1 cancelled (cancelled)',
      '        execute_tool hold',
      '      settle calls hold cancelled (cancelled)',
      '    gather calls 1 calls',
    ]);
  });

  it('tells when a person was asked and when that was decided, and names nobody', async () => {
    const traced = await tracedYard({ settings: { CALLYARD_USER_HASH_SECRET: 's' } });
    const { submit, dispatcher } = traced;
    const { runId, traceId } = await submit(proposes(toolCall('guarded')), says('Done.'));
    await waitingFor(dispatcher);
    await dispatcher.approvals.approve(`${runId}.0.0`, { by: { owner, userId: 'approver-7' } });
    await dispatcher.wait(runId, { owner });
    const spans = await expectTree(traced, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls guarded ~ chat played',
      '      process calls guarded #1 wait approval.asked',
      '      process calls guarded #1 completed wait:approval approval.decided',
      '        execute_tool guarded',
      '    gather calls 1 calls',
      '    chat played',
    ]);
    const decided = spans.flatMap(({ events }) => events).find(({ name }) => name === 'callyard.approval.decided');
    expect(decided?.attributes).toEqual({ 'callyard.approved': true, 'user.hash': expect.stringMatching(/^\w{32}$/) });
    expect(JSON.stringify(spans)).not.toContain('approver-7');
  });
});
