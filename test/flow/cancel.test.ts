import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { failureOutcome, type Envelope } from '@callyard/shared/call';
import { createControl } from '@callyard/shared/control';
import { createLedger } from '@callyard/shared/ledger';
import { createCallQueues } from '@callyard/shared/queue';
import { defineTool, Type, type Tool, type ToolContext, type ToolDefinition } from '@callyard/worker';
import { modelSaying, principal, proposes, says, setup, signal, toolCall, type Callyard } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { workerProcesses } from '../support/worker-process.ts';
import { isAlive } from '../support/is-alive.ts';

/** With a lock this long nothing is found by its renewal while a test looks. */
const longLock = { CALLYARD_LOCK_MS: '30000', CALLYARD_STALLED_CHECK_MS: '3000' };

/** `key code` of each call of `hold` that was aborted in a worker process. */
const aborts = (yard: Callyard): Promise<string[]> => yard.redis.lrange(`${yard.names.tag}:aborts`, '0', '-1');

const codes = (outcomes: readonly { status: string; error?: { code: string } }[]): string[] =>
  outcomes.map(({ status, error }) => error?.code ?? status);

const times = <T>(count: number, one: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => one(i));

describe('the cancel of a run, in worker processes', () => {
  it('reaches its running handlers wherever they are, and nobody else', async () => {
    const yard = await setup();
    await workerProcesses(yard, 2, { ...longLock, CALLYARD_CONCURRENCY: '3' });
    const dispatcher = await yard.dispatcher();
    const starts = await watchStarts(yard);
    const [cancel, other] = [new AbortController(), new AbortController()];
    const cancelled = dispatcher.execute(
      times(5, () => toolCall('hold')),
      { principal, signal: cancel.signal },
    );
    const untouched = dispatcher.execute([toolCall('hold')], { principal, signal: other.signal });
    await starts.reach(6);
    cancel.abort();
    const { outcomes } = await cancelled;
    expect(codes(outcomes)).toEqual(times(5, () => 'cancelled'));
    await expect.poll(() => aborts(yard)).toHaveLength(5);
    expect((await aborts(yard)).toSorted()).toEqual(outcomes.map(({ key }) => `${key} cancelled`).toSorted());
    const naps = await dispatcher.execute(
      times(5, () => toolCall('nap', { ms: 1 })),
      { principal },
    );
    expect(codes(naps.outcomes)).toEqual(times(5, () => 'completed')); // the slots are free again
    other.abort();
    await untouched;
    starts.stop();
  });

  it('kills an isolated handler that never gives the processor back', async () => {
    const yard = await setup();
    await workerProcesses(yard, 1, longLock);
    const dispatcher = await yard.dispatcher();
    const starts = await watchStarts(yard);
    const cancel = new AbortController();
    const spins = dispatcher.execute([toolCall('isolated_spin')], { principal, signal: cancel.signal });
    await starts.reach(1);
    starts.stop();
    const [key = ''] = await yard.redis.keys(`${yard.names.tag}:starts:*`);
    const child = Number(await yard.redis.lindex(key, 0));
    expect(isAlive(child)).toBe(true);
    cancel.abort();
    expect(codes((await spins).outcomes)).toEqual(['cancelled']);
    await expect.poll(() => isAlive(child)).toBe(false); // its timeout is a minute
  });

  it('ends a call that may run at most once as cancelled, and it is not started again', async () => {
    const yard = await setup();
    await workerProcesses(yard, 2, longLock);
    const dispatcher = await yard.dispatcher();
    const starts = await watchStarts(yard);
    const cancel = new AbortController();
    const options = { principal, key: 'once' };
    const calls = [toolCall('hold_once')];
    const once = dispatcher.execute(calls, { ...options, signal: cancel.signal });
    await starts.reach(1);
    cancel.abort();
    const { outcomes } = await once;
    expect(codes(outcomes)).toEqual(['cancelled']);
    await expect.poll(() => aborts(yard)).toEqual([`${outcomes[0]?.key} cancelled`]);
    expect(codes((await dispatcher.execute(calls, options)).outcomes)).toEqual(['cancelled']);
    expect(starts.count).toBe(1);
    starts.stop();
  });

  it('leaves no handler running that was picked up at the same moment', async () => {
    const yard = await setup();
    await workerProcesses(yard, 2, longLock);
    const dispatcher = await yard.dispatcher();
    const starts = await watchStarts(yard);
    const runs = times(300, async (i) => {
      await delay(5 * i);
      const cancel = new AbortController();
      setTimeout(() => cancel.abort(), Math.random() * 6);
      return dispatcher.execute([toolCall('hold')], { principal, signal: cancel.signal });
    });
    const ended = await Promise.all(runs);
    expect(codes(ended.flatMap(({ outcomes }) => outcomes))).toEqual(times(300, () => 'cancelled'));
    // Some were withdrawn before a worker had them, some were started: those have heard of it.
    await expect.poll(async () => (await aborts(yard)).length - starts.count).toBe(0);
    expect(starts.count).toBeGreaterThan(0);
    // Each gives its lease back as it ends, a moment after it has said that it was aborted.
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject({ running: 0, waiting: 0 });
    starts.stop();
  });
});

/** A worker with one tool whose handler is given, and what its calls have met. */
async function yardWith(
  handler: (ctx: ToolContext) => unknown,
  more: Partial<ToolDefinition<Type.TObject<{}>>> = {},
  lockMs = 30_000,
) {
  const yard = await setup();
  const started = signal();
  let starts = 0;
  const tool = defineTool({
    name: 'tool',
    version: '1.0.0',
    description: 'Does what the test wants',
    parameters: Type.Object({}),
    policy: { retry: { attempts: 4, minDelayMs: 1, maxDelayMs: 5 }, limits: [{ per: ['user'], concurrency: 1 }] },
    ...more,
    handler(_args, ctx) {
      starts += 1;
      started.resolve();
      return handler(ctx);
    },
  });
  await yard.worker([tool], { lockMs });
  const dispatcher = await yard.dispatcher();
  const control = createControl(yard.redis, yard.names);
  const run = (runId: string) =>
    dispatcher.run({ runId, principal, model: modelSaying(proposes(toolCall('tool')), says('ok')), messages: [] });
  return { yard, dispatcher, control, run, started: started.promise, starts: () => starts };
}

const abortOf = ({ signal: abort }: ToolContext): Promise<never> =>
  new Promise((_, reject) => abort.addEventListener('abort', () => reject(abort.reason as Error)));

describe('a call whose run is cancelled', () => {
  it.each<[string, (ctx: ToolContext) => unknown]>([
    ['ends at its abort', abortOf],
    [
      'fails with something else, which would be tried again',
      (ctx) => abortOf(ctx).catch(() => Promise.reject(new Error('no'))),
    ],
    ['has a result all the same', (ctx) => abortOf(ctx).catch(() => 'done')],
    ['goes on', (ctx) => abortOf(ctx).catch(() => new Promise(() => {}))],
  ])('is cancelled by its worker and spends no attempt, where its handler %s', async (_, handler) => {
    const { yard, control, run, dispatcher, started, starts } = await yardWith(handler);
    const running = run('r1');
    await started;
    await control.cancel('r1');
    const { outcomes } = await running;
    expect(outcomes).toMatchObject([
      { status: 'cancelled', error: { code: 'cancelled' }, settledBy: 'worker', attempts: 0, lost: 0 },
    ]);
    expect(starts()).toBe(1);
    expect(await dispatcher.limits(principal)).toMatchObject({ running: 0, waiting: 0 });
    expect(await yard.redis.keys(`${yard.names.tag}:*:failed`)).toEqual([]); // no dead letter
  });

  it('is cancelled while its fallback runs, and has neither its value nor the error of its tool', async () => {
    const asked = signal();
    const fallback = (_args: unknown, ctx: ToolContext) => {
      asked.resolve();
      return abortOf(ctx);
    };
    const policy = { retry: { attempts: 1 } };
    const down = () => Promise.reject(new Error('down'));
    const { control, run } = await yardWith(down, { fallback, policy });
    const running = run('r1');
    await asked.promise;
    await control.cancel('r1');
    expect((await running).outcomes).toMatchObject([{ status: 'cancelled', attempts: 0 }]);
  });

  it('is the last that is started where calls run one after the other', async () => {
    const { dispatcher, started, starts } = await yardWith(abortOf);
    const cancel = new AbortController();
    const calls = times(3, () => toolCall('tool'));
    const running = dispatcher.execute(calls, { principal, mode: 'sequential', signal: cancel.signal });
    await started;
    cancel.abort();
    expect(codes((await running).outcomes)).toEqual(times(3, () => 'cancelled'));
    expect(starts()).toBe(1);
  });

  it('does not cancel what is asked for later under the same key', async () => {
    const { dispatcher, started } = await yardWith((ctx) =>
      ctx.idempotencyKey.endsWith('.0') ? abortOf(ctx) : 'done',
    );
    const cancel = new AbortController();
    const calls = [toolCall('tool'), toolCall('tool')];
    const options = { principal, key: 'again', mode: 'sequential' } as const;
    const running = dispatcher.execute(calls, { ...options, signal: cancel.signal });
    await started;
    cancel.abort();
    expect(codes((await running).outcomes)).toEqual(['cancelled', 'cancelled']);
    expect(codes((await dispatcher.execute(calls, options)).outcomes)).toEqual(['cancelled', 'completed']);
  });

  it('is started by nobody when it comes to a worker that has heard of the cancel before', async () => {
    const { yard, control, dispatcher, run, starts } = await yardWith(() => 'done');
    await control.cancel('r1');
    await yard.redis.publish(yard.names.controlChannel, 'no message');
    await yard.redis.publish(yard.names.controlChannel, '{"of":"a newer version"}');
    // Told before it is asked: by the time this call has ended, all of it has been read.
    expect((await run('r0')).outcomes).toMatchObject([{ status: 'completed' }]);
    expect((await run('r1')).outcomes).toMatchObject([{ status: 'cancelled', attempts: 0, settledBy: 'worker' }]);
    expect(starts()).toBe(1);
    expect(await dispatcher.limits(principal)).toMatchObject({ running: 0, waiting: 0 });
  });
});

describe('a call of which no worker was told that it is cancelled', () => {
  /** What the handler is aborted with. */
  async function yardTellingAborts() {
    const aborted = signal<unknown>();
    const made = await yardWith((ctx) => abortOf(ctx).catch(aborted.resolve), {}, 1_000);
    return { ...made, aborted: aborted.promise };
  }

  it('is aborted as its lock is renewed where its outcome stands, which holds', async () => {
    const { yard, run, started, aborted } = await yardTellingAborts();
    const running = run('r1');
    await started;
    const outcome = {
      v: 1 as const,
      key: 'r1.0.0',
      call: { id: '', name: 'tool' },
      tool: { name: 'tool', version: '1.0.0' },
      ...failureOutcome({ code: 'deadline_exceeded', message: 'over' }),
      attempts: 0,
      lost: 0,
      settledBy: 'dispatcher' as const,
      enqueuedAt: 1,
      waits: [],
    };
    const ledger = createLedger(yard.redis, yard.names);
    // So dies a dispatcher that had settled a call, and told nobody.
    await ledger.settle({ outcome, text: JSON.stringify(outcome), ttlMs: 60_000, replyTo: '' }).done;
    expect(await aborted).toMatchObject({ code: 'cancelled' });
    expect((await running).outcomes).toEqual([outcome]);
  });

  it('is aborted as its lock is renewed where its durable run is cancelled', async () => {
    const { yard, started, aborted } = await yardTellingAborts();
    const queues = createCallQueues(yard.redis, yard.names);
    const { pool, schemaHash } = await servedIn(yard);
    await queues.add(pool, { envelope: durableCall(schemaHash), carrier: undefined });
    await started;
    await yard.redis.hset(yard.names.run('d1'), 'cancelledAt', Date.now());
    expect(await aborted).toMatchObject({ code: 'cancelled' });
    await expect.poll(() => yard.redis.get(yard.names.outcome('d1.0.0'))).toContain('"status":"cancelled"');
    await queues.close();
  });
});

/** The one pool there is, and what it serves. */
async function servedIn({ redis, names }: Callyard) {
  const [pool = ''] = await redis.zrange(names.pools, '0', '-1');
  const [manifest] = JSON.parse((await redis.get(names.manifests(pool))) ?? '[]') as Tool['manifest'][];
  return { pool, schemaHash: manifest?.schemaHash ?? '' };
}

const durableCall = (schemaHash: string): Envelope => ({
  v: 1,
  key: 'd1.0.0',
  of: 1,
  runId: 'd1',
  turn: 0,
  index: 0,
  owner: principal.owner,
  principal: { ...principal, roles: [], permissions: [] },
  call: { id: '', name: 'tool', arguments: '{}' },
  tool: { name: 'tool', version: '1.0.0', range: '^1.0.0', schemaHash },
  class: 'interactive',
  limits: [],
  idempotencyKey: 'd1.0.0',
  durable: true,
  deadlineAt: Date.now() + 60_000,
  replyTo: '',
  enqueuedAt: Date.now(),
});
