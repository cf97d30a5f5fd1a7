import { describe, expect, it } from 'vitest';
import { createApprovalRequests, type ApprovalRequest } from '@callyard/shared/approvals';
import { admissionBench, pool } from '../support/admission.ts';

const key = 'r.0.0';
const ben = { userId: 'ben', roles: [] };

/** A call that its worker holds, and whose approval it asks for; a test is the worker. */
async function held(more: Partial<ApprovalRequest> = {}) {
  const bench = await admissionBench(10, { ownClock: true });
  await bench.clock.set(Date.now());
  const approvals = createApprovalRequests(bench.redis, bench.names);
  await bench.add([key]);
  await bench.pickUp();
  const { deadlineAt } = bench.envelope(key);
  const request: ApprovalRequest = {
    key,
    pool,
    owner: 'acme',
    tool: { name: 't', version: '1.0.0' },
    requires: [],
    timeoutMs: 30_000,
    deadlineAt,
    keptMs: 1_000,
    ...more,
  };
  /** Its worker moves it away for a moment. */
  const moveAway = async () => {
    await bench.redis.lrem(bench.bull('active'), 1, key);
    await bench.redis.zadd(bench.bull('delayed'), (bench.clock.now() + 5_000) * 4_096, key);
  };
  const dueAt = async () => Number(await bench.redis.zscore(bench.bull('delayed'), key)) / 4_096;
  const pending = async () => {
    const found: string[] = [];
    for await (const { envelope } of approvals.pending('acme', bench.clock.now())) found.push(envelope.key);
    return found;
  };
  return { ...bench, approvals, request, moveAway, dueAt, pending };
}

describe('asking for approval', () => {
  it('is done once: the time to decide does not begin anew', async () => {
    const { approvals, request, clock } = await held();
    const dueAt = clock.now() + 30_000;
    expect(await approvals.ask(request)).toEqual({ kind: 'pending', dueAt });
    await clock.set(clock.now() + 29_999);
    expect(await approvals.ask({ ...request, requires: ['x'] })).toEqual({ kind: 'pending', dueAt });
    expect(await approvals.read(key)).toMatchObject({ requires: ['x'], dueAt, askedAt: dueAt - 30_000 });
    await clock.set(dueAt);
    expect(await approvals.ask(request)).toEqual({ kind: 'expired' });
    expect(await approvals.decide(key, { approved: true, by: ben })).toEqual({ kind: 'over' });
  });

  it('is bounded by the deadline of the call', async () => {
    const { approvals, request } = await held({ timeoutMs: 3_600_000 });
    expect(await approvals.ask(request)).toEqual({ kind: 'pending', dueAt: request.deadlineAt });
  });

  it('of a call that is settled answers with its outcome', async () => {
    const { approvals, request, settle } = await held();
    await settle(key);
    expect(await approvals.ask(request)).toMatchObject({ kind: 'settled', outcome: { key } });
  });

  it('for another call of the same key begins anew: what was decided before is not meant for it', async () => {
    const { approvals, request } = await held();
    await approvals.ask(request);
    await approvals.decide(key, { approved: true, by: ben });
    expect(await approvals.ask(request)).toMatchObject({ kind: 'decided', decision: { approved: true, by: ben } });
    const again = { ...request, deadlineAt: request.deadlineAt + 1 };
    expect(await approvals.ask(again)).toMatchObject({ kind: 'pending' });
  });

  it('leaves nothing for ever: the question is kept for a while past the deadline, the index as long as one waits', async () => {
    const { approvals, request, redis, names } = await held();
    await approvals.ask(request);
    expect(await redis.pexpiretime(names.approval(key))).toBe(request.deadlineAt + 1_000);
    const first = await redis.pexpiretime(names.approvals('acme'));
    await approvals.ask({ ...request, key: 'later.0.0', timeoutMs: 40_000 });
    await approvals.ask({ ...request, key: 'sooner.0.0', timeoutMs: 10_000 });
    expect(await redis.pexpiretime(names.approvals('acme'))).toBe(first + 10_000);
  });

  it('clears the index of what is over', async () => {
    const { approvals, request, redis, names, clock } = await held();
    await approvals.ask(request);
    await clock.set(clock.now() + 30_000);
    await approvals.ask({ ...request, key: 'next.0.0' });
    expect(await redis.zrange(names.approvals('acme'), '0', '-1')).toEqual(['next.0.0']);
  });
});

describe('a call that waits for approval', () => {
  it('is parked until its time is over', async () => {
    const { approvals, request, moveAway, dueAt, clock } = await held();
    await approvals.ask(request);
    await moveAway();
    await approvals.park(pool, key);
    expect(await dueAt()).toBe(clock.now() + 30_000);
  });

  it.each<[string, (yard: Awaited<ReturnType<typeof held>>) => Promise<unknown>]>([
    [
      'decided before it is moved away',
      async ({ approvals, moveAway }) => {
        await approvals.decide(key, { approved: false, by: ben });
        await moveAway();
        await approvals.park(pool, key);
      },
    ],
    [
      'decided while it is moved away',
      async ({ approvals, moveAway }) => {
        await moveAway();
        await approvals.decide(key, { approved: true, by: ben });
        await approvals.park(pool, key);
      },
    ],
    [
      'decided when it is parked',
      async ({ approvals, moveAway }) => {
        await moveAway();
        await approvals.park(pool, key);
        await approvals.decide(key, { approved: true, by: ben });
      },
    ],
    [
      'settled before it is parked',
      async ({ ledger, moveAway, approvals }) => {
        const outcome = cancelled;
        await ledger.settle({ outcome, text: JSON.stringify(outcome), ttlMs: 60_000, replyTo: '' }).done;
        await moveAway();
        await approvals.park(pool, key);
      },
    ],
    [
      'parked when its question is lost',
      async ({ redis, names, moveAway, approvals }) => {
        await redis.del(names.approval(key));
        await moveAway();
        await approvals.park(pool, key);
      },
    ],
  ])('comes back to a worker at once where it is %s', async (_when, go) => {
    const yard = await held();
    await yard.approvals.ask(yard.request);
    await go(yard);
    expect(await yard.waiting()).toEqual([key]);
    expect(await yard.parked()).toEqual([]);
    expect(await yard.redis.zrange(yard.bull('marker'), '0', '-1')).toEqual(['0']); // wakes a worker
  });

  it('is not listed once it is decided, or settled', async () => {
    const yard = await held();
    const { approvals, request, pending, settle, redis, names } = yard;
    await yard.add(['s.0.0']);
    await yard.pickUp();
    await approvals.ask(request);
    await approvals.ask({ ...request, key: 's.0.0' });
    expect(await pending()).toEqual([key, 's.0.0']);
    await approvals.decide(key, { approved: true, by: ben });
    await settle('s.0.0');
    expect(await pending()).toEqual([]);
    expect(await redis.exists(names.approvals('acme'))).toBe(0);
  });
});

describe('a decision', () => {
  it('holds as it was first taken, with its time', async () => {
    const { approvals, request, clock } = await held();
    expect(await approvals.decide(key, { approved: true, by: ben })).toEqual({ kind: 'unknown' });
    await approvals.ask(request);
    const decision = { approved: true, by: ben, why: 'fine', at: clock.now() };
    expect(await approvals.decide(key, { approved: true, by: ben, why: 'fine' })).toEqual({
      kind: 'written',
      decision,
    });
    await clock.set(clock.now() + 60_000);
    expect(await approvals.decide(key, { approved: false, by: ben })).toEqual({ kind: 'decided', decision });
  });
});

const cancelled = {
  v: 1 as const,
  key,
  call: { id: 'c', name: 't' },
  tool: { name: 't', version: '1.0.0' },
  status: 'cancelled' as const,
  error: { code: 'cancelled' as const, message: 'cancelled' },
  attempts: 0,
  lost: 0,
  settledBy: 'dispatcher' as const,
  enqueuedAt: 1,
  waits: [],
};
