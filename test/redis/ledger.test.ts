import { describe, expect, it } from 'vitest';
import type { Outcome } from '@callyard/shared/call';
import { createLedger, parseNotice, type Settlement } from '@callyard/shared/ledger';
import { plainOutcome } from '../support/outcome.ts';
import { setup } from '../support/setup.ts';

const outcome = (key: string, value: unknown = 'v'): Outcome => plainOutcome(key, { value });

const settlement = (one: Outcome, more: Partial<Settlement> = {}): Settlement => ({
  outcome: one,
  text: JSON.stringify(one),
  ttlMs: 60_000,
  replyTo: 'd1',
  ...more,
});

async function ledgerOf() {
  const yard = await setup();
  const written = createLedger(yard.redis, yard.names);
  const ledger = { ...written, settle: (one: Settlement) => written.settle(one).done };
  const lock = (key: string, token: string) => yard.redis.set(yard.names.jobLock('p', key), token);
  return { ...yard, ledger, lock };
}

describe('ledger', () => {
  it('keeps the first outcome of a call and hands it to whoever comes later', async () => {
    const { ledger } = await ledgerOf();
    expect(await ledger.settle(settlement(outcome('a.0.0', 1)))).toMatchObject({ kind: 'written' });
    const second = await ledger.settle(settlement(outcome('a.0.0', 2)));
    expect(second).toMatchObject({ kind: 'adopted', outcome: { value: 1 } });
  });

  it('lets only the worker that holds the lock settle', async () => {
    const { ledger, lock } = await ledgerOf();
    await lock('a.0.0', 'mine');
    const stale = await ledger.settle(settlement(outcome('a.0.0'), { job: { pool: 'p', token: 'other' } }));
    expect(stale).toEqual({ kind: 'stale' });
    expect(await ledger.read(['a.0.0'])).toEqual([undefined]);
    const held = await ledger.settle(settlement(outcome('a.0.0'), { job: { pool: 'p', token: 'mine' } }));
    expect(held.kind).toBe('written');
  });

  it('gives a worker that lost its lock the outcome that stands', async () => {
    const { ledger } = await ledgerOf();
    await ledger.settle(settlement(outcome('a.0.0', 'first')));
    const late = await ledger.settle(settlement(outcome('a.0.0', 'late'), { job: { pool: 'p', token: 'gone' } }));
    expect(late).toMatchObject({ kind: 'adopted', outcome: { value: 'first' } });
  });

  it('takes its own text for written, as a reconnect sends a script twice', async () => {
    const { ledger } = await ledgerOf();
    await ledger.settle(settlement(outcome('a.0.0')));
    expect((await ledger.settle(settlement(outcome('a.0.0')))).kind).toBe('written');
  });

  it('forgets an outcome after its time', async () => {
    const { ledger, redis, names } = await ledgerOf();
    await ledger.settle(settlement(outcome('a.0.0'), { ttlMs: 5_000 }));
    const left = await redis.pttl(names.outcome('a.0.0'));
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(5_000);
  });

  it('reads outcomes in the order of the keys', async () => {
    const { ledger } = await ledgerOf();
    await Promise.all([ledger.settle(settlement(outcome('a.0.0', 1))), ledger.settle(settlement(outcome('a.0.2', 3)))]);
    const read = await ledger.read(['a.0.2', 'a.0.1', 'a.0.0']);
    expect(read.map((one) => one?.value)).toEqual([3, undefined, 1]);
  });

  it('announces a burst in one notice to each dispatcher, large outcomes by their key', async () => {
    const { ledger, redis, names } = await ledgerOf();
    const subscriber = redis.duplicate();
    const heard: { channel: string; notice: unknown[] }[] = [];
    const both = Promise.withResolvers<void>();
    subscriber.on('message', (channel: string, message: string) => {
      heard.push({ channel, notice: parseNotice(message) });
      if (heard.length === 2) both.resolve();
    });
    await subscriber.subscribe(names.noticeChannel('d1'), names.noticeChannel('d2'));
    await Promise.all([
      ledger.settle(settlement(outcome('a.0.0'))),
      ledger.settle(settlement(outcome('a.0.1', 'x'.repeat(40_000)))),
      ledger.settle(settlement(outcome('b.0.0'), { replyTo: 'd2' })),
    ]);
    await both.promise;
    subscriber.disconnect();
    const d1 = heard.find(({ channel }) => channel === names.noticeChannel('d1'));
    expect(d1?.notice).toEqual([outcome('a.0.0'), 'a.0.1']);
  });
});

describe('opening a call', () => {
  const job = { pool: 'p', token: 'mine' };

  it('lets it go, or gives the outcome that stands', async () => {
    const { ledger, lock } = await ledgerOf();
    await lock('a.0.0', 'mine');
    expect(await ledger.open({ key: 'a.0.0', job, startMarkMs: 0, admission: undefined })).toEqual({ kind: 'go' });
    await ledger.settle(settlement(outcome('a.0.0')));
    expect(await ledger.open({ key: 'a.0.0', job, startMarkMs: 0, admission: undefined })).toMatchObject({
      kind: 'settled',
      outcome: { key: 'a.0.0' },
    });
  });

  it('tells a worker that the job is no longer its own', async () => {
    const { ledger, lock } = await ledgerOf();
    await lock('a.0.0', 'other');
    expect(await ledger.open({ key: 'a.0.0', job, startMarkMs: 0, admission: undefined })).toEqual({ kind: 'stale' });
  });

  it('lets an at-most-once call start once', async () => {
    const { ledger, lock } = await ledgerOf();
    await lock('a.0.0', 'mine');
    expect(await ledger.open({ key: 'a.0.0', job, startMarkMs: 60_000, admission: undefined })).toEqual({ kind: 'go' });
    expect(await ledger.open({ key: 'a.0.0', job, startMarkMs: 60_000, admission: undefined })).toEqual({
      kind: 'started',
    });
  });
});
