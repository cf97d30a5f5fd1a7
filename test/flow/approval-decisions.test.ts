import { describe, expect, inject, it } from 'vitest';
import { approvalYard, codeOf, greet, parked, payments, waitingFor } from '../support/approvals.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { workerProcesses } from '../support/worker-process.ts';

const ben = { owner: 'acme', userId: 'ben' };
/** Commands that name a call. */
const ofCalls = /[0-9a-f]{12}\.0\.0/;
const pay = (amount: number) => toolCall('pay', { amount });

describe('a tool that needs approval', () => {
  it('says so in its manifest, and by whom', async () => {
    const { dispatcher } = await approvalYard([payments().pay, greet]);
    const approvals = dispatcher.tools().map(({ name, policy }) => [name, policy.approval]);
    expect(Object.fromEntries(approvals)).toEqual({ pay: { requires: [], timeoutMs: 86_400_000 }, greet: undefined });
  });

  it('is no fallback of another', async () => {
    const yard = await setup();
    const { pay: spend } = payments({ name: 'spend', fallback: { tool: 'pay' } });
    await expect(yard.worker([spend, payments().pay])).rejects.toThrow('fallback: pay needs approval');
  });
});

describe('a decision', () => {
  it('is taken once: again by the same person it is the same, else it is told who decided what', async () => {
    const { pay: tool } = payments();
    const { dispatcher, yard } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(5)], { principal });
    const [waiting] = await waitingFor(dispatcher);
    const key = waiting?.key ?? '';
    const { approvals } = dispatcher;
    const first = await approvals.approve(key, { by: { ...ben, roles: ['boss'] }, why: 'fine' });
    expect(first).toMatchObject({ approved: true, by: { userId: 'ben', roles: ['boss'] }, why: 'fine' });
    await running;
    expect(await approvals.approve(key, { by: ben, why: 'again' })).toEqual(first);
    const other = approvals.approve(key, { by: principal });
    await expect(other).rejects.toMatchObject({ name: 'ApprovalError', code: 'already_decided' });
    await expect(other).rejects.toThrow(`ben approved it at ${new Date(first.at).toISOString()}`);
    expect(await codeOf(approvals.deny(key, { by: ben }))).toBe('already_decided');
    const audit = yard.logged.filter((line) => line.audit && String(line.event).startsWith('approval.'));
    expect(audit).toMatchObject([
      { event: 'approval.approved', audit: true, job_id: key, tool: 'pay', owner: 'acme', user_id: 'ben', why: 'fine' },
      { event: 'approval.approved', user_id: 'ben', why: 'fine', decided_at: first.at },
      { event: 'approval.refused', audit: true, job_id: key, user_id: 'mia', code: 'already_decided', approved: true },
      { event: 'approval.refused', audit: true, job_id: key, user_id: 'ben', code: 'already_decided', approved: false },
    ]);
  });

  it('is not for another owner, nor for who lacks the right, nor for a call nobody was asked about', async () => {
    const policy = { approval: { requires: ['payments:approve', 'role:lead'] } };
    const { dispatcher, yard } = await approvalYard([payments({ policy }).pay]);
    const running = dispatcher.execute([pay(5)], { principal });
    const [waiting] = await waitingFor(dispatcher);
    const key = waiting?.key ?? '';
    const { approvals } = dispatcher;
    const lead = { roles: ['lead'], permissions: ['payments:approve'] };
    const stranger = approvals.approve(key, { by: { ...ben, owner: 'globex', ...lead } });
    const unknown = approvals.approve('r.0.0', { by: { ...ben, ...lead } });
    await expect(stranger).rejects.toThrow(`no call ${key} waits for approval, or ever did`);
    await expect(unknown).rejects.toThrow('no call r.0.0 waits for approval, or ever did');
    expect(await Promise.all([codeOf(stranger), codeOf(unknown)])).toEqual(['not_found', 'not_found']);
    const weak = approvals.approve(key, { by: { ...ben, roles: ['lead'] } });
    await expect(weak).rejects.toThrow('ben may not decide on pay: lacks payments:approve');
    expect(await codeOf(weak)).toBe('forbidden');
    await expect(approvals.deny(key, { by: ben, why: 'x'.repeat(1_001) })).rejects.toThrow(TypeError);
    await approvals.deny(key, { by: { ...ben, ...lead } });
    await running;
    const refused = yard.logged.filter(({ event }) => event === 'approval.refused');
    expect(refused.map(({ owner, code }) => `${String(owner)} ${String(code)}`)).toEqual([
      'globex not_found',
      'acme not_found',
      'acme forbidden',
    ]);
  });

  it('of many at once the first holds for all', async () => {
    const { pay: tool, paid } = payments();
    const { dispatcher } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(5)], { principal });
    const [waiting] = await waitingFor(dispatcher);
    const key = waiting?.key ?? '';
    const { approvals } = dispatcher;
    const tries = Array.from({ length: 20 }, (_, i) => {
      const by = { owner: 'acme', userId: `u${i}` };
      return codeOf(i % 2 === 0 ? approvals.approve(key, { by }) : approvals.deny(key, { by }));
    });
    const ends = await Promise.all(tries);
    expect(ends.filter((code) => code === 'taken')).toHaveLength(1);
    expect(ends.filter((code) => code === 'already_decided')).toHaveLength(19);
    const { outcomes } = await running;
    expect(paid).toHaveLength(outcomes[0]?.status === 'completed' ? 1 : 0);
  });
});

describe('every decision is kept', () => {
  // Asked, waits noted, admission left, moved away for a moment, parked: the commands that name the call.
  it.each([1, 2, 3, 4, 5])('when the worker is killed by kill -9 after command %i of parking its call', async (nth) => {
    const proxy = await redisProxy(inject('redisUrl'));
    const yard = await setup();
    const [victim] = await workerProcesses(yard, 1, { REDIS_URL: proxy.url });
    const dispatcher = await yard.dispatcher({ unservedMs: 20_000 });
    const first = dispatcher.execute([toolCall('guarded')], { principal }); // scripts are loaded by the first
    for (const { key } of await waitingFor(dispatcher)) await dispatcher.approvals.approve(key, { by: ben });
    await first;
    await expect.poll(() => yard.redis.keys(`${yard.names.tag}:calls-*.0.0`)).toEqual([]); // its job has ended, too
    proxy.cutAfter(nth, ofCalls);
    const running = dispatcher.execute([toolCall('guarded')], { principal });
    await expect.poll(() => proxy.hasCut(), { interval: 1 }).toBe(true);
    victim?.process.kill('SIGKILL');
    const [waiting] = await waitingFor(dispatcher);
    const approve = () => dispatcher.approvals.approve(waiting?.key ?? '', { by: ben });
    if (nth % 2 === 0) await approve();
    await workerProcesses(yard, 1);
    if (nth % 2 === 1) await approve();
    const { outcomes } = await running;
    expect(outcomes[0]).toMatchObject({ status: 'completed', attempts: 1 });
    expect(await yard.redis.llen(`{${yard.prefix}:0}:starts:${outcomes[0]?.key}`)).toBe(1);
  });

  it.each(['worker', 'dispatcher'] as const)(
    'when Redis is lost after any command of the %s',
    async (who) => {
      const proxy = await redisProxy(inject('redisUrl'));
      const yard = await setup();
      const by = (part: string) => (part === who ? { redisUrl: proxy.url } : {});
      const { pay: tool, paid } = payments();
      await yard.worker([tool], { concurrency: 2, lockMs: 600, stalledCheckMs: 150, ...by('worker') });
      const dispatcher = await yard.dispatcher(by('dispatcher'));
      const run = async (amount: number): Promise<void> => {
        const running = dispatcher.execute([pay(amount)], { principal, timeoutMs: 15_000 });
        const [waiting] = await waitingFor(dispatcher);
        expect(paid).not.toContain(amount);
        const decision = await dispatcher.approvals.approve(waiting?.key ?? '', { by: ben });
        expect(decision.approved).toBe(true);
        expect((await running).outcomes[0]).toMatchObject({ status: 'completed', value: { paid: amount } });
      };
      await run(0); // scripts are loaded by the first
      proxy.cutAfter(Number.POSITIVE_INFINITY, ofCalls);
      await run(0.5);
      const commands = proxy.seen();
      expect(commands).toBeGreaterThan(2);
      for (let nth = 1; nth <= commands; nth += 1) {
        proxy.cutAfter(nth, ofCalls);
        await run(nth);
      }
      proxy.cutAfter(Number.POSITIVE_INFINITY);
      await run(commands + 1);
    },
    60_000,
  );
});

describe('a call that nobody serves any more while it waits', () => {
  it('is asked about anew, not twice, when other workers take it', async () => {
    const { pay: tool } = payments();
    const { yard, worker, dispatcher } = await approvalYard([tool]);
    const running = dispatcher.execute([pay(5)], { principal });
    await waitingFor(dispatcher);
    await parked(yard, worker.pool, 1);
    const { pay: next, paid } = payments({ version: '1.1.0', policy: { approval: { requires: ['pay'] } } });
    const other = await yard.worker([next]);
    await worker.close();
    await parked(yard, other.pool, 1);
    const [waiting] = await waitingFor(dispatcher);
    expect(waiting).toMatchObject({ tool: { version: '1.1.0' }, requires: ['pay'] });
    await dispatcher.approvals.approve(waiting?.key ?? '', { by: { ...ben, permissions: ['pay'] } });
    expect((await running).outcomes[0]).toMatchObject({ status: 'completed' });
    expect(paid).toEqual([5]);
  });
});
