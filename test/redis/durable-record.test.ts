import { describe, expect, it, onTestFinished } from 'vitest';
import type { ModelResponse } from '../../packages/dispatcher/src/model.ts';
import { runsInRedis } from '../support/held-run.ts';
import { plainOutcome } from '../support/outcome.ts';
import { runRecordSuite } from '../support/run-record-suite.ts';
import { setup } from '../support/setup.ts';

async function yardOfRuns() {
  const yard = await setup();
  const runs = runsInRedis(yard);
  onTestFinished(() => runs.close());
  return { yard, runs };
}

runRecordSuite('in Redis', async (messages) => {
  const { runs } = await yardOfRuns();
  const { runId } = await runs.submit(messages);
  return runs.record(runId, await runs.hold(runId));
});

const ask = [{ role: 'user', content: 'go' }] as const;

const proposal: ModelResponse = {
  message: {
    role: 'assistant',
    content: null,
    tool_calls: [{ id: 'c', type: 'function', function: { name: 't', arguments: '{}' } }],
  },
  stop: 'calls',
  usage: { inputTokens: 3, outputTokens: 4 },
};

describe('a run in Redis', () => {
  it('refuses every write of a dispatcher that another has taken it from', async () => {
    const { runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const before = await runs.record(runId, await runs.hold(runId, 'd1'));
    const after = await runs.record(runId, await runs.hold(runId, 'd2'));
    await expect(before.recordResponse(0, proposal)).rejects.toMatchObject({ why: 'stale' });
    await after.recordResponse(0, proposal);
    await expect(
      before.recordOutcomes(0, [plainOutcome(`${runId}.0.0`, { settledBy: 'dispatcher' })]),
    ).rejects.toMatchObject({
      why: 'stale',
    });
    await expect(before.finish({ state: 'completed', stop: 'answer' })).rejects.toMatchObject({ why: 'stale' });
    expect((await after.load()).turns).toHaveLength(1);
  });

  it('tells nothing of what a dispatcher says that another has taken it from', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    await runs.hold(runId, 'd1');
    await runs.hold(runId, 'd2');
    await runs.store.watch(runId, 'acme', 60_000);
    const written = () => yard.redis.xlen(yard.names.runEvents(runId));
    const before = await written();
    await runs.store.emit(runId, [{ type: 'model.started', turn: 0 }], '1');
    expect(await written()).toBe(before);
    await runs.store.emit(runId, [{ type: 'model.started', turn: 0 }], '2');
    expect(await written()).toBe(before + 1);
  });

  it('knows when its dispatcher last said that it lives, and takes that from no other', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const key = yard.names.run(runId);
    const aliveAt = async () => Number(await yard.redis.hget(key, 'aliveAt'));
    await runs.hold(runId, 'd1');
    const heldAt = await aliveAt();
    await yard.redis.hset(key, 'aliveAt', 1);
    await runs.store.signs([{ runId }]);
    expect(await aliveAt()).toBe(1);
    await runs.store.signs([{ runId, fence: '1' }]);
    expect(await aliveAt()).toBeGreaterThanOrEqual(heldAt);
    await runs.hold(runId, 'd2');
    await yard.redis.hset(key, 'aliveAt', 1);
    await runs.store.signs([{ runId, fence: '1' }]);
    expect(await aliveAt()).toBe(1);
  });

  it('has whoever takes over tell of all before it, but for those that one has lived long enough to tell of', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const key = yard.names.run(runId);
    const lostAt = async (dispatcher: string) => {
      const held = await runs.hold(runId, dispatcher);
      return held.kind === 'held' ? held.began.lost.map(({ fence }) => fence) : held.kind;
    };
    expect(await lostAt('d1')).toEqual([]);
    const [heldAt, aliveAt] = (await yard.redis.hmget(key, 'heldAt', 'aliveAt')).map(Number);
    expect(await runs.hold(runId, 'd2')).toMatchObject({
      began: { why: 'taken-over', lost: [{ fence: '1', heldAt, aliveAt }] },
    });
    expect(await lostAt('d3')).toEqual(['1', '2']);
    await yard.redis.hset(key, 'heldAt', 1);
    expect(await lostAt('d4')).toEqual(['3']);
    for (let i = 5; i < 40; i += 1) await lostAt(`d${i}`);
    expect(await lostAt('d40')).toEqual(Array.from({ length: 20 }, (_, i) => String(i + 20)));
    await runs.store.release({ runId, fence: '40' }, 'handed-over');
    expect(await lostAt('d41')).toEqual([]);
  });

  it('says why its next hold begins', async () => {
    const { runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const why = async () => {
      const held = await runs.hold(runId);
      return held.kind === 'held' ? held.began.why : held.kind;
    };
    expect(await why()).toBe('submitted');
    expect(await runs.store.release({ runId, fence: '1' }, 'fault')).toBe('released');
    expect(await why()).toBe('fault');
    await runs.store.release({ runId, fence: '2' }, 'handed-over');
    expect(await why()).toBe('handed-over');
    expect(await runs.store.park({ runId, fence: '3' }, Date.now() + 60_000, [])).toBe('woken'); // nothing is missing
    expect(await why()).toBe('woken');
    await runs.store.park({ runId, fence: '4' }, Date.now() + 60_000, [`${runId}.0.0`]);
    expect(await why()).toBe('woken');
    expect(await why()).toBe('taken-over');
    expect(await runs.store.release({ runId, fence: '1' }, 'fault')).toBe('stale');
  });

  it('tells nothing after its end', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const record = await runs.record(runId, await runs.hold(runId));
    await runs.store.watch(runId, 'acme', 60_000);
    await record.finish({ state: 'completed', stop: 'answer' });
    await runs.store.emit(runId, [{ type: 'model.started', turn: 0 }]);
    await runs.store.watch(runId, 'acme', 60_000);
    const events = await yard.redis.xrange(yard.names.runEvents(runId), '-', '+');
    expect(events.map(([, [, text = '']]) => (JSON.parse(text) as { type: string }).type)).toEqual(['state', 'end']);
  });

  it('keeps the outcomes that a dispatcher settled as long as itself', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const record = await runs.record(runId, await runs.hold(runId));
    await record.recordResponse(0, proposal);
    const key = `${runId}.0.0`;
    await yard.redis.set(
      yard.names.outcome(key),
      JSON.stringify(plainOutcome(key, { settledBy: 'dispatcher' })),
      'PX',
      1_000,
    );
    await record.recordOutcomes(0, [plainOutcome(key, { settledBy: 'dispatcher' })]);
    expect(await yard.redis.pttl(yard.names.outcome(key))).toBeGreaterThan(30_000);
  });

  it('is held only by whom BullMQ has given its job', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    await yard.redis.set(`${yard.names.tag}:runs:${runId}:lock`, 'somebody else');
    expect(await runs.store.hold(runId, 'd1', 'mine')).toEqual({ kind: 'stale' });
  });

  it('goes on with the response that was recorded, and reads outcomes from the ledger', async () => {
    const { runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const first = await runs.record(runId, await runs.hold(runId, 'd1'));
    await first.recordResponse(0, proposal);
    await first.recordOutcomes(0, [plainOutcome(`${runId}.0.0`, { settledBy: 'dispatcher' })]);
    await first.recordResponse(1, proposal);
    const second = await runs.record(runId, await runs.hold(runId, 'd2'));
    const { turns } = await second.load();
    expect(turns.map(({ response }) => response)).toEqual([proposal, proposal]);
    expect(turns.map(({ outcomes }) => outcomes?.[0]?.key)).toEqual([`${runId}.0.0`, undefined]);
  });

  it('writes an outcome again that the ledger has lost', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const record = await runs.record(runId, await runs.hold(runId));
    await record.recordResponse(0, proposal);
    await record.recordOutcomes(0, [plainOutcome(`${runId}.0.0`)]);
    expect(await yard.redis.exists(yard.names.outcome(`${runId}.0.0`))).toBe(1);
  });

  it('is gone for its holder when Redis has lost it', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const record = await runs.record(runId, await runs.hold(runId));
    await yard.redis.del(yard.names.run(runId));
    await expect(record.recordResponse(0, proposal)).rejects.toMatchObject({ why: 'gone' });
    expect(await runs.hold(runId)).toEqual({ kind: 'gone' });
  });

  it('is not touched by a dispatcher that is older than its record', async () => {
    const { runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask, { fields: { v: '2' } });
    expect(await runs.hold(runId)).toEqual({ kind: 'too-new', v: '2' });
    expect(await runs.store.read(runId)).toMatchObject({ fence: '0' });
  });

  it('ends as cancelled once it is cancelled, whatever else it would have ended as', async () => {
    const { runs } = await yardOfRuns();
    const { runId } = await runs.submit(ask);
    const record = await runs.record(runId, await runs.hold(runId));
    expect(await runs.store.cancel(runId, 'acme', {})).toEqual({ isFirst: true });
    expect(await runs.store.cancel(runId, 'acme', {})).toEqual({ isFirst: false });
    expect(await runs.store.cancel(runId, 'other', {})).toBe('unknown');
    expect(await record.finish({ state: 'completed', stop: 'answer' })).toMatchObject({ state: 'cancelled' });
    expect(await runs.store.cancel(runId, 'acme', {})).toBe('ended');
  });

  it('is submitted once with the same id, also when its job has ended', async () => {
    const { yard, runs } = await yardOfRuns();
    const { runId, answer } = await runs.submit(ask);
    expect(answer).toEqual({ kind: 'created' });
    expect((await runs.submit(ask, { runId })).answer).toEqual({ kind: 'known', runId, body: 'b' });
    const record = await runs.record(runId, await runs.hold(runId));
    await record.finish({ state: 'completed', stop: 'answer' });
    await yard.redis.del(`${yard.names.tag}:runs:${runId}`);
    await yard.redis.del(`${yard.names.tag}:runs:wait`);
    expect((await runs.submit(ask, { runId })).answer).toEqual({ kind: 'known', runId, body: 'b' });
    expect(await yard.redis.exists(`${yard.names.tag}:runs:${runId}`)).toBe(0);
    expect(await yard.redis.llen(`${yard.names.tag}:runs:wait`)).toBe(0);
  });

  it('expires with everything that belongs to it', async () => {
    const { yard, runs } = await yardOfRuns();
    const conversation = yard.names.conversationId('acme', 'c');
    const { runId } = await runs.submit(ask, { conversation, fields: { conversation } });
    await runs.submit(ask, { conversation, fields: { conversation } });
    const held = await runs.hold(runId);
    await runs.store.watch(runId, 'acme', 60_000);
    const record = await runs.record(runId, held);
    await record.recordResponse(0, proposal);
    await runs.store.park({ runId, fence: '1' }, Date.now() + 60_000, [`${runId}.0.0`]);
    const keys = (await yard.redis.keys(`{${yard.prefix}:*`)).filter((key) => !key.includes(':runs:'));
    const lasting = await Promise.all(keys.map(async (key) => ((await yard.redis.pttl(key)) < 0 ? [key] : [])));
    expect(lasting.flat()).toEqual([]);
    expect(keys.length).toBeGreaterThan(5);
  });
});
