import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Outcome } from '@callyard/shared/call';
import { traceIdIn } from '@callyard/shared/telemetry-context';
import { defineTool, ToolError, Type } from '@callyard/worker';
import { all, atOnce, letDie } from '../support/dead.ts';
import { principal, setup, signal, toolCall } from '../support/setup.ts';
import { receivedSpans, spansOf, traceThisFile } from '../support/traced-yard.ts';

traceThisFile();

/** A worker whose tool sleeps, and a dispatcher, both in this process. */
async function napping() {
  const yard = await setup();
  const nap = defineTool({
    name: 'nap',
    version: '1.0.0',
    description: 'Sleeps',
    parameters: Type.Object({ ms: Type.Integer() }),
    handler: ({ ms }) => new Promise<void>((resolve) => setTimeout(resolve, ms)),
  });
  await yard.worker([nap]);
  return yard.dispatcher();
}

function callerTrace() {
  const traceId = randomBytes(16).toString('hex');
  return { traceId, traceparent: `00-${traceId}-${randomBytes(8).toString('hex')}-01` };
}

const named = (traceId: string, name: string) => spansOf(traceId).filter((span) => span.name === name);

describe('a call that is cancelled while it is enqueued', () => {
  it('is settled once', async () => {
    const dispatcher = await napping();
    const { traceId, traceparent } = callerTrace();
    const ended: Outcome[] = [];
    for (let i = 0; i < 10; i++) {
      const stop = new AbortController();
      const options = { principal, traceparent, signal: stop.signal };
      const executed = dispatcher.execute([toolCall('nap', { ms: 1_000 })], options);
      setImmediate(() => stop.abort());
      ended.push(...(await executed).outcomes);
    }
    expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['cancelled']));
    await dispatcher.execute([toolCall('nap', { ms: 1 })], { principal, traceparent });
    // It ends when the job has been taken back, which nobody waits for.
    const settled = () => named(traceId, 'settle calls').map(({ attributes }) => attributes['messaging.message.id']);
    await receivedSpans(() => named(traceId, 'execute calls').length === 11 && settled().length >= ended.length);
    expect(settled()).toHaveLength(ended.length);
    expect(new Set(settled())).toEqual(new Set(ended.map(({ key }) => key)));
  });
});

describe('a turn whose calls run one after the other', () => {
  it('waited from its first call on its way to its last outcome, most of all for the longest', async () => {
    const dispatcher = await napping();
    const { traceId, traceparent } = callerTrace();
    const calls = [toolCall('nap', { ms: 300 }), toolCall('nap', { ms: 20 })];
    const { outcomes } = await dispatcher.execute(calls, { principal, traceparent, mode: 'sequential' });
    await receivedSpans(() => named(traceId, 'gather calls').length === 1);
    const [gather] = named(traceId, 'gather calls');
    expect(gather?.durationMs).toBeGreaterThan(300);
    expect(gather?.attributes).toMatchObject({
      'callyard.gather.calls': 2,
      'callyard.gather.slowest': outcomes[0]?.key,
    });
  });
});

describe('a retry of a dead letter that is overdue', () => {
  it('is settled in its own trace', async () => {
    const yard = await setup();
    const [held, gate] = [signal(), signal()];
    let runs = 0;
    const brittle = defineTool({
      name: 'brittle',
      version: '1.0.0',
      description: 'Fails, and then hangs',
      parameters: Type.Object({ n: Type.Integer() }),
      policy: { retry: { attempts: 1 } },
      async handler() {
        if (++runs === 1) throw new ToolError('broken today');
        held.resolve();
        await gate.promise;
      },
    });
    const { pool } = await yard.worker([brittle]);
    const dispatcher = await yard.dispatcher();
    const [dead] = await letDie(yard, dispatcher, 1);
    const { key } = dead as Outcome;
    const retry = () => all(dispatcher.deadLetters.retry({ keys: [key] }, atOnce));
    await retry();
    await held.promise;
    const opts = (await yard.redis.hget(yard.names.job(pool, `${key}~1`), 'opts')) ?? '{}';
    const traceId = traceIdIn((JSON.parse(opts) as { tm?: string }).tm);
    const mark = JSON.parse((await yard.redis.get(yard.names.retried(key))) ?? '{}') as object;
    await yard.redis.set(yard.names.retried(key), JSON.stringify({ ...mark, deadlineAt: 1 }));
    expect(await retry()).toMatchObject([{ as: `${key}~2` }]);
    gate.resolve();
    const settled = JSON.parse((await yard.redis.get(yard.names.outcome(`${key}~1`))) ?? '{}') as Outcome;
    expect(settled).toMatchObject({ error: { code: 'deadline_exceeded' }, traceId });
    await receivedSpans(() => named(traceId ?? '', 'settle calls').length === 1);
  });
});
