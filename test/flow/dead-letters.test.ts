import { describe, expect, it, onTestFinished } from 'vitest';
import { parseOutcome, type Envelope } from '@callyard/shared/call';
import { startTelemetry } from '@callyard/shared/telemetry-start';
import { startOtlpReceiver } from '../../packages/cli/src/otlp-receiver.ts';
import { all, atOnce, brittle, endsOf, letDie } from '../support/dead.ts';
import { defineTool, Type } from '@callyard/worker';
import { principal, setup, signal, toolCall } from '../support/setup.ts';

/** One worker with a tool that fails until it is mended. */
async function brittleYard() {
  const yard = await setup();
  const { tool, ran, mend } = brittle();
  await yard.worker([tool]);
  return { yard, ran, mend, dispatcher: await yard.dispatcher() };
}

describe('dead letters', () => {
  it('are listed with what happened, newest first, and redacted', async () => {
    const yard = await setup();
    const { tool } = brittle({ retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 2 } });
    const worker = await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const [first] = await letDie(yard, dispatcher, 1, { args: { password: 'hunter2' } });
    const [second] = await letDie(yard, dispatcher, 1);
    const letters = await all(dispatcher.deadLetters.list());
    expect(letters.map(({ key }) => key)).toEqual([second?.key, first?.key]);
    expect(letters[1]).toMatchObject({
      tool: { name: 'brittle', version: '1.0.0', range: '^1.0.0' },
      principal,
      arguments: { n: 0, password: '[redacted]' },
      error: { code: 'tool_error', message: 'broken today' },
      attempts: first?.attempts,
      lost: 0,
      idempotencyKey: first?.key,
      pool: worker.pool,
      worker: worker.id,
    });
    expect(letters[1]?.retry).toBeUndefined();
    const shown = await dispatcher.deadLetters.show(first?.key ?? '');
    expect(shown).toMatchObject({ key: first?.key, outcome: { status: 'failed', worker: worker.id } });
    expect(JSON.stringify(shown)).not.toContain('hunter2');
  });

  it('are filtered by tool, version, user, owner, code and age', async () => {
    const yard = await setup();
    const [one, two] = [brittle(), brittle({}, { name: 'other', version: '2.1.0' })];
    await yard.worker([one.tool, two.tool]);
    const dispatcher = await yard.dispatcher();
    await letDie(yard, dispatcher, 2);
    await letDie(yard, dispatcher, 1, { tool: 'other', who: { owner: 'globex', userId: 'max' } });
    const count = async (filter: Parameters<typeof dispatcher.deadLetters.list>[0]) =>
      (await all(dispatcher.deadLetters.list(filter))).length;
    expect(await count({ tool: 'brittle' })).toBe(2);
    expect(await count({ tool: 'other@^2' })).toBe(1);
    expect(await count({ tool: 'other@^1' })).toBe(0);
    expect(await count({ userId: 'max' })).toBe(1);
    expect(await count({ owner: 'acme' })).toBe(2);
    expect(await count({ code: 'tool_error' })).toBe(3);
    expect(await count({ code: 'timeout' })).toBe(0);
    expect(await count({ olderThanMs: 60_000 })).toBe(0);
    expect(await count({ newerThanMs: 60_000 })).toBe(3);
  });

  it('are retried as new calls with the same idempotency key, and nothing old changes', async () => {
    const { yard, ran, mend, dispatcher } = await brittleYard();
    const [dead] = await letDie(yard, dispatcher, 1);
    const key = dead?.key ?? '';
    const before = await yard.redis.get(yard.names.outcome(key));
    mend();
    const [retried] = await all(dispatcher.deadLetters.retry({ filter: { tool: 'brittle' } }, atOnce));
    expect(retried).toMatchObject({ key, as: `${key}~1` });
    const outcome = retried && 'as' in retried ? await retried.outcome() : undefined;
    expect(outcome).toMatchObject({ key: `${key}~1`, status: 'completed', value: { n: 0 } });
    expect(ran).toEqual([key, key]);
    expect(await yard.redis.get(yard.names.outcome(key))).toBe(before);
    expect(parseOutcome((await yard.redis.get(yard.names.outcome(`${key}~1`))) ?? '').status).toBe('completed');
    const [letter] = await all(dispatcher.deadLetters.list());
    expect(letter?.retry).toEqual({ key: `${key}~1`, state: 'completed' });
    expect(await endsOf(dispatcher.deadLetters.retry({ all: true }, atOnce))).toEqual(['completed']);
    expect(await endsOf(dispatcher.deadLetters.retry({ keys: [key] }, atOnce))).toEqual(['completed']);
    expect(ran).toHaveLength(2);
  });

  it('that fail again are letters of their own, which stand for the first', async () => {
    const { yard, ran, mend, dispatcher } = await brittleYard();
    const [dead] = await letDie(yard, dispatcher, 1);
    const key = dead?.key ?? '';
    expect(await endsOf(dispatcher.deadLetters.retry({ keys: [key] }, atOnce))).toEqual(['failed']);
    await expect.poll(async () => (await all(dispatcher.deadLetters.list())).length).toBe(2);
    const [second, first] = await all(dispatcher.deadLetters.list());
    expect(first?.retry).toMatchObject({ key: `${key}~1`, state: 'replaced', code: 'tool_error' });
    expect(second).toMatchObject({ key: `${key}~1`, replayOf: key, idempotencyKey: key });
    mend();
    const retried = await all(dispatcher.deadLetters.retry({ all: true }, atOnce));
    expect(retried).toMatchObject([
      { key: `${key}~1`, as: `${key}~2` },
      { key, skipped: 'replaced' },
    ]);
    await expect.poll(() => ran).toEqual([key, key, key]);
    const [again] = await all(dispatcher.deadLetters.retry({ keys: [key] }, atOnce));
    expect(again).toMatchObject({ key: `${key}~1` });
    expect(again).toHaveProperty('skipped');
  });

  it('are retried once by two operators at once', async () => {
    const yard = await setup();
    const { tool, ran, mend } = brittle();
    await yard.worker([tool]);
    await yard.worker([tool, brittle({}, { name: 'other' }).tool]); // another pool, which one of them may choose
    const [one, two] = [await yard.dispatcher(), await yard.dispatcher()];
    await letDie(yard, one, 30);
    mend();
    const [a, b] = await Promise.all(
      [one, two].map(({ deadLetters }) => endsOf(deadLetters.retry({ all: true }, atOnce))),
    );
    const ends = [...(a ?? []), ...(b ?? [])];
    expect(ends).toHaveLength(60);
    expect(ran).toHaveLength(60); // thirty that failed, thirty retries
    expect(new Set(ran.slice(30)).size).toBe(30);
    expect((await all(one.deadLetters.list())).every(({ retry }) => retry?.state === 'completed')).toBe(true);
  });

  it('of at-most-once tools are left alone unless that is forced', async () => {
    const yard = await setup();
    const { tool, ran, mend } = brittle({ effects: 'at-most-once' });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    await letDie(yard, dispatcher, 1);
    mend();
    const [skipped] = await all(dispatcher.deadLetters.retry({ all: true }, atOnce));
    expect(skipped).toMatchObject({ skipped: 'at_most_once', message: expect.stringContaining('force') as string });
    expect(ran).toHaveLength(1);
    expect(await endsOf(dispatcher.deadLetters.retry({ all: true }, { ...atOnce, force: true }))).toEqual([
      'completed',
    ]);
  });

  it('of a dead pool run on the pool that serves the tool now', async () => {
    const yard = await setup();
    const old = brittle();
    const worker = await yard.worker([old.tool]);
    const dispatcher = await yard.dispatcher();
    await letDie(yard, dispatcher, 1);
    await worker.close();
    await expect.poll(() => dispatcher.tools()).toEqual([]);
    const [unserved] = await all(dispatcher.deadLetters.retry({ all: true }, atOnce));
    expect(unserved).toMatchObject({ skipped: 'tool_unavailable' });
    const [next, beyond] = [brittle({}, { version: '1.4.0' }), brittle({}, { version: '2.0.0' })];
    next.mend();
    await yard.worker([next.tool, beyond.tool]);
    await dispatcher.waitForTools(['brittle']);
    const [retried] = await all(dispatcher.deadLetters.retry({ all: true }, atOnce));
    const outcome = retried && 'as' in retried ? await retried.outcome() : undefined;
    expect(outcome).toMatchObject({ status: 'completed', tool: { version: '1.4.0' } });
  });

  it('are retried anew when nobody answered the first retry before its deadline, and only then', async () => {
    const yard = await setup();
    const { tool, ran, mend } = brittle();
    const [held, gate] = [signal(), signal()];
    const blocker = defineTool({
      name: 'blocker',
      version: '1.0.0',
      description: 'Holds the only slot',
      parameters: Type.Object({}),
      async handler() {
        held.resolve();
        await gate.promise;
      },
    });
    const { pool } = await yard.worker([tool, blocker], { concurrency: 1 });
    const limits = [{ per: ['user' as const], rate: { limit: 100, periodMs: 1_000 } }];
    const [unlimited, dispatcher] = [await yard.dispatcher(), await yard.dispatcher({ limits })];
    const [dead] = await letDie(yard, unlimited, 1);
    const key = dead?.key ?? '';
    mend();
    const blocked = dispatcher.execute([toolCall('blocker')], { principal });
    await held.promise;
    const retry = () => all(dispatcher.deadLetters.retry({ keys: [key] }, atOnce));
    expect(await retry()).toMatchObject([{ as: `${key}~1` }]);
    expect(await retry()).toMatchObject([{ skipped: 'under_way' }]);
    const envelopeOf = async (of: string) =>
      JSON.parse((await yard.redis.hget(yard.names.job(pool, of), 'data')) ?? '{}') as Envelope;
    const [old, sent] = [await envelopeOf(key), await envelopeOf(`${key}~1`)];
    expect(sent).toMatchObject({ class: 'batch', replayOf: key, idempotencyKey: key, limits: [{ per: ['user'] }] });
    expect(sent.deadlineAt - sent.enqueuedAt).toBe(old.deadlineAt - old.enqueuedAt);
    const mark = JSON.parse((await yard.redis.get(yard.names.retried(key))) ?? '{}') as object;
    await yard.redis.set(yard.names.retried(key), JSON.stringify({ ...mark, deadlineAt: 1 }));
    expect(await all(dispatcher.deadLetters.list())).toMatchObject([{ retry: { state: 'overdue' } }]);
    const [again] = await retry();
    expect(again).toMatchObject({ as: `${key}~2` });
    gate.resolve();
    await blocked;
    expect(again && 'as' in again && (await again.outcome()).status).toBe('completed');
    expect((await yard.redis.get(yard.names.outcome(`${key}~1`))) ?? '').toContain('deadline_exceeded');
    expect(ran).toHaveLength(2);
  });

  it('are retried at the rate that was asked for, and only shown in a dry run', async () => {
    const { yard, ran, mend, dispatcher } = await brittleYard();
    await letDie(yard, dispatcher, 5);
    mend();
    const dry = await all(dispatcher.deadLetters.retry({ all: true }, { dryRun: true }));
    expect(dry.map((one) => 'as' in one)).toEqual([true, true, true, true, true]);
    expect(ran).toHaveLength(5);
    const started = performance.now();
    const paced = dispatcher.deadLetters.retry({ all: true }, { rate: { limit: 20, periodMs: 1_000 }, limit: 4 });
    expect(await endsOf(paced)).toHaveLength(4);
    expect(performance.now() - started).toBeGreaterThanOrEqual(145);
    expect(ran).toHaveLength(9);
  });

  it('are dropped by key or filter, and all of them only when that is said', async () => {
    const yard = await setup();
    const { tool } = brittle();
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const [one] = await letDie(yard, dispatcher, 3);
    expect(await dispatcher.deadLetters.drop({ keys: [one?.key ?? ''] })).toBe(1);
    await expect(dispatcher.deadLetters.drop({ filter: {} })).rejects.toThrow('all are meant');
    expect(await dispatcher.deadLetters.drop({ filter: { userId: 'nobody' } })).toBe(0);
    expect(await dispatcher.deadLetters.drop({ all: true })).toBe(2);
    expect(await all(dispatcher.deadLetters.list())).toEqual([]);
  });

  it('say what is wrong with a question', async () => {
    const yard = await setup();
    const { deadLetters } = await yard.dispatcher();
    await expect(deadLetters.show('nope.0.0')).rejects.toThrow(/no dead letter nope\.0\.0.*callyard dead list/);
    await expect(all(deadLetters.list({ code: 'tool_eror' as never }))).rejects.toThrow(
      /did you mean tool_error\?.*timeout/,
    );
    await expect(all(deadLetters.list({ tool: 'a@x y' }))).rejects.toThrow('no range');
    await expect(all(deadLetters.retry({ all: true }, { rate: { limit: 0, periodMs: 1 } }))).rejects.toThrow('rate');
  });

  it('are read a page at a time, also where many failed in the same millisecond', async () => {
    const yard = await setup();
    const { tool } = brittle();
    const { pool } = await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const [dead] = await letDie(yard, dispatcher, 1);
    const hash = await yard.redis.hgetall(yard.names.job(pool, dead?.key ?? ''));
    const pipeline = yard.redis.pipeline();
    for (let i = 0; i < 450; i++) {
      pipeline.hset(yard.names.job(pool, `copy-${i}`), hash);
      pipeline.zadd(yard.names.failed(pool), i < 250 ? 1_000 : 1_000 + i, `copy-${i}`);
    }
    await pipeline.exec();
    const keys = (await all(dispatcher.deadLetters.list())).map(({ key }) => key);
    expect(keys).toHaveLength(451);
    expect(new Set(keys).size).toBe(451);
    expect(keys[1]).toBe('copy-449');
    expect(await dispatcher.deadLetters.drop({ all: true })).toBe(451);
  });

  it('are retried in a trace of their own, linked to that of the call', async () => {
    const yard = await setup();
    const receiver = await startOtlpReceiver();
    onTestFinished(receiver.stop);
    const tracing = startTelemetry({ serviceName: 'test', endpoint: receiver.endpoint });
    const { tool, mend } = brittle();
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const [dead] = await letDie(yard, dispatcher, 1);
    mend();
    const [retried] = await all(dispatcher.deadLetters.retry({ all: true }, atOnce));
    const outcome = retried && 'as' in retried ? await retried.outcome() : undefined;
    const [letter] = await all(dispatcher.deadLetters.list());
    await tracing.shutdown();
    const sends = receiver.spans.filter(({ name }) => name === 'send calls');
    const [old, again] = ['', '~1'].map((end) =>
      sends.find(({ attributes }) => attributes['messaging.message.id'] === `${dead?.key}${end}`),
    );
    expect(letter?.traceId).toBe(old?.traceId);
    expect(again?.traceId).toBe(outcome?.traceId);
    expect(again?.traceId).not.toBe(old?.traceId);
    expect(again?.parentSpanId).toBeUndefined();
    expect(again?.links).toEqual([{ traceId: old?.traceId, spanId: old?.spanId }]);
  });
});
