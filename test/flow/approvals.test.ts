import { describe, expect, it } from 'vitest';
import { ToolError, type PolicyInput } from '@callyard/worker';
import { approvalYard, codeOf, greet, parked, payments, waitingFor } from '../support/approvals.ts';
import { principal, signal, toolCall } from '../support/setup.ts';

const ben = { owner: 'acme', userId: 'ben' };
const pay = (amount: number) => toolCall('pay', { amount });

describe('a call that needs approval', () => {
  it('waits without a slot or a lock while its siblings and others go on, and runs when it is approved', async () => {
    const { pay: tool, paid } = payments();
    const { yard, worker, dispatcher } = await approvalYard([tool, greet]);
    const calls = [pay(5), toolCall('greet'), pay(7), toolCall('greet')];
    const running = dispatcher.execute(calls, { principal, conversationId: 'c1' });
    const waiting = await waitingFor(dispatcher, 2);
    await parked(yard, worker.pool, 2);
    const locks = waiting.map(({ key }) => yard.names.jobLock(worker.pool, key));
    expect(await yard.redis.exists(locks)).toBe(0);
    const { outcomes: others } = await dispatcher.execute([toolCall('greet')], { principal });
    expect(others[0]).toMatchObject({ status: 'completed' });
    expect(paid).toEqual([]);
    for (const { key } of waiting) await dispatcher.approvals.approve(key, { by: ben });
    const { outcomes } = await running;
    expect(outcomes.map(({ status }) => status)).toEqual(Array.from({ length: 4 }, () => 'completed'));
    expect(outcomes[0]).toMatchObject({ attempts: 1, lost: 0 });
    expect(outcomes[0]?.waits.map(({ reason }) => reason)).toContain('approval');
    expect(new Set(paid)).toEqual(new Set([5, 7]));
  });

  it('is listed for its owner alone, its arguments redacted', async () => {
    const { dispatcher } = await approvalYard([payments({ policy: { approval: { requires: ['pay'] } } }).pay]);
    const stop = new AbortController();
    const call = toolCall('pay', { amount: 5, password: 'hunter2' });
    const running = dispatcher.execute([call], { principal, conversationId: 'c1', signal: stop.signal });
    const [waiting] = await waitingFor(dispatcher);
    expect(waiting).toMatchObject({
      tool: { name: 'pay', version: '1.0.0' },
      principal: { owner: 'acme', userId: 'mia' },
      conversationId: 'c1',
      arguments: { amount: 5, password: '[redacted]' },
      requires: ['pay'],
    });
    expect(waiting?.key).toBe(`${waiting?.runId}.0.0`);
    expect((waiting?.dueAt ?? 0) - (waiting?.askedAt ?? 0)).toBeGreaterThan(290_000); // the default deadline
    await waitingFor(dispatcher, 0, 'globex');
    stop.abort();
    await running;
  });

  it('is refused when it is denied, and the model is told by whom and why', async () => {
    const { pay: tool, paid } = payments();
    const { dispatcher } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(5)], { principal });
    const [waiting] = await waitingFor(dispatcher);
    await dispatcher.approvals.deny(waiting?.key ?? '', { by: ben, why: 'too much' });
    const { outcomes, messages } = await running;
    expect(outcomes[0]).toMatchObject({ status: 'refused', error: { code: 'approval_denied' }, attempts: 0 });
    expect(messages[0]?.content).toContain('ben denied this call: too much');
    expect(paid).toEqual([]);
    await waitingFor(dispatcher, 0);
  });

  it('is refused when nobody decides in time, and a decision after that is told so', async () => {
    const { pay: tool, paid } = payments({ policy: { approval: { timeoutMs: 100 } } });
    const { dispatcher } = await approvalYard([tool]);
    const { outcomes } = await dispatcher.execute([pay(5)], { principal });
    expect(outcomes[0]).toMatchObject({ status: 'refused', error: { code: 'approval_expired' }, attempts: 0 });
    expect(await codeOf(dispatcher.approvals.approve(outcomes[0]?.key ?? '', { by: ben }))).toBe('over');
    expect(paid).toEqual([]);
  });

  it('ends with its deadline where that comes first', async () => {
    const { pay: tool, paid } = payments();
    const { dispatcher } = await approvalYard([tool]);
    const { outcomes } = await dispatcher.execute([pay(5)], { principal, timeoutMs: 1_000 });
    expect(outcomes[0]).toMatchObject({ status: 'failed', error: { code: 'deadline_exceeded' } });
    expect(await codeOf(dispatcher.approvals.approve(outcomes[0]?.key ?? '', { by: ben }))).toBe('over');
    expect(paid).toEqual([]);
  });

  it('can be cancelled while it waits: nothing of it stays behind, and an approval comes too late', async () => {
    const { pay: tool, paid } = payments();
    const { yard, worker, dispatcher } = await approvalYard([tool]);
    const stop = new AbortController();
    const running = dispatcher.execute([pay(5)], { principal, signal: stop.signal });
    const [waiting] = await waitingFor(dispatcher);
    await parked(yard, worker.pool, 1);
    stop.abort();
    const { outcomes } = await running;
    expect(outcomes[0]).toMatchObject({ status: 'cancelled' });
    await parked(yard, worker.pool, 0);
    expect(await codeOf(dispatcher.approvals.approve(waiting?.key ?? '', { by: ben }))).toBe('over');
    await waitingFor(dispatcher, 0);
    expect(await yard.redis.zcard(yard.names.approvals('acme'))).toBe(0);
    expect(paid).toEqual([]);
  });

  it('is found by a decision that comes while it is being parked', async () => {
    const { pay: tool, paid } = payments();
    const { dispatcher } = await approvalYard([tool]);
    const amounts = Array.from({ length: 40 }, (_, i) => i);
    const running = dispatcher.execute(amounts.map(pay), { principal, timeoutMs: 10_000 });
    const decided = new Set<string>();
    while (decided.size < amounts.length) {
      for await (const { key } of dispatcher.approvals.list('acme')) {
        decided.add(key);
        await dispatcher.approvals.approve(key, { by: ben });
      }
    }
    const { outcomes } = await running;
    expect(outcomes.filter(({ status }) => status === 'completed')).toHaveLength(40);
    expect(paid).toHaveLength(40);
  });
});

describe('approval and admission', () => {
  it('a parked call takes nothing of a limit, and is admitted when it is approved', async () => {
    const policy: PolicyInput = {
      limits: [
        { per: ['user'], concurrency: 1 },
        { per: ['user'], quota: { limit: 2, windowMs: 3_600_000 } },
      ],
    };
    const { pay: tool, paid } = payments({ policy, needsApproval: ({ amount }) => amount > 10 });
    const { dispatcher } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(50)], { principal });
    const [waiting] = await waitingFor(dispatcher);
    const first = await dispatcher.execute([pay(1)], { principal });
    expect(first.outcomes[0]?.status).toBe('completed');
    await dispatcher.approvals.approve(waiting?.key ?? '', { by: ben });
    expect((await running).outcomes[0]?.status).toBe('completed');
    const { outcomes } = await dispatcher.execute([pay(2)], { principal });
    expect(outcomes[0]?.error?.code).toBe('quota_exceeded');
    expect(paid).toEqual([1, 50]);
  });

  it('of equal calls each is approved for itself, whatever the cache holds', async () => {
    const policy: PolicyInput = { effects: 'none', cache: { ttlMs: 60_000 } };
    const { pay: tool, paid } = payments({ policy });
    const { dispatcher } = await approvalYard([tool]);
    const running = [pay(5), pay(5)].map((call) => dispatcher.execute([call], { principal }));
    const [first, second] = await waitingFor(dispatcher, 2);
    await dispatcher.approvals.approve(first?.key ?? '', { by: ben });
    await waitingFor(dispatcher, 1);
    await dispatcher.approvals.deny(second?.key ?? '', { by: ben });
    const ends = (await Promise.all(running)).map(({ outcomes }) => outcomes[0]?.error?.code ?? outcomes[0]?.status);
    expect(new Set(ends)).toEqual(new Set(['approval_denied', 'completed']));
    expect(paid).toEqual([5]);
  });

  it('an approved call is tried again without being asked for again', async () => {
    let attempts = 0;
    const { pay: tool } = payments({
      policy: { retry: { attempts: 3, minDelayMs: 1, maxDelayMs: 1 } },
      handler() {
        attempts += 1;
        if (attempts < 3) throw new ToolError('not yet', { retry: 'backoff' });
        return 'paid';
      },
    });
    const { dispatcher } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(5)], { principal });
    const [waiting] = await waitingFor(dispatcher);
    await dispatcher.approvals.approve(waiting?.key ?? '', { by: ben });
    expect((await running).outcomes[0]).toMatchObject({ status: 'completed', attempts: 3 });
  });

  it('a call that may start at most once starts once, after its approval', async () => {
    const { pay: tool, paid } = payments({ policy: { effects: 'at-most-once' } });
    const { dispatcher } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(5)], { principal });
    const [waiting] = await waitingFor(dispatcher);
    await dispatcher.approvals.approve(waiting?.key ?? '', { by: ben });
    expect((await running).outcomes[0]).toMatchObject({ status: 'completed', attempts: 1 });
    expect(paid).toEqual([5]);
  });
});

describe('a predicate', () => {
  it('decides by the validated arguments and the caller whether a person is asked', async () => {
    const told: unknown[] = [];
    const { pay: tool, paid } = payments({
      needsApproval(args, about) {
        told.push([args, about.principal.userId, about.conversationId]);
        return Promise.resolve(args.amount > 10);
      },
    });
    const { dispatcher } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(5), pay(50), toolCall('pay', { amount: 'all' })], {
      principal,
      conversationId: 'c1',
    });
    const [waiting, ...more] = await waitingFor(dispatcher);
    expect([waiting?.arguments, more]).toEqual([{ amount: 50 }, []]);
    await dispatcher.approvals.approve(waiting?.key ?? '', { by: ben });
    const { outcomes } = await running;
    expect(outcomes.map(({ error, status }) => error?.code ?? status)).toEqual([
      'completed',
      'completed',
      'invalid_arguments',
    ]);
    expect(told).toEqual([
      [{ amount: 5 }, 'mia', 'c1'],
      [{ amount: 50 }, 'mia', 'c1'], // a decision is not put in question by asking again
    ]);
    expect(paid).toEqual([5, 50]);
  });

  it.each<[string, () => boolean | Promise<boolean>]>([
    [
      'throws',
      () => {
        throw new Error('no rates');
      },
    ],
    ['never answers', () => new Promise<boolean>(() => {})],
  ])('that %s starts nothing, and no fallback answers for it', async (_what, needsApproval) => {
    const { pay: tool, paid } = payments({ needsApproval, fallback: () => 'paid', policy: { timeoutMs: 50 } });
    const { dispatcher } = await approvalYard([tool]);
    const { outcomes } = await dispatcher.execute([pay(5)], { principal });
    expect(outcomes[0]).toMatchObject({ status: 'failed', error: { code: 'tool_error' }, attempts: 1 });
    expect(outcomes[0]?.error?.message).toContain('Whether the call needs approval could not be told');
    expect(paid).toEqual([]);
  });

  it('that a shutdown interrupts is asked again by the next worker, also for an at-most-once tool', async () => {
    const asked = signal();
    const policy: PolicyInput = { effects: 'at-most-once', timeoutMs: 60_000 };
    const hanging = payments({
      policy,
      needsApproval: () => {
        asked.resolve();
        return new Promise<boolean>(() => {});
      },
    });
    const { yard, worker, dispatcher } = await approvalYard([hanging.pay]);
    const running = dispatcher.execute([pay(5)], { principal });
    await asked.promise;
    const next = payments({ policy, needsApproval: () => false });
    await yard.worker([next.pay]); // before the other closes: a call that nobody serves would end
    await worker.close();
    expect((await running).outcomes[0]).toMatchObject({ status: 'completed' });
    expect(next.paid).toEqual([5]);
  });
});
