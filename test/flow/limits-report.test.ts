import { describe, expect, it } from 'vitest';
import { defineTool, Type, type PolicyInput } from '@callyard/worker';
import { principal, setup, signal, toolCall } from '../support/setup.ts';

type Limits = NonNullable<PolicyInput['limits']>;

const limited: Limits = [
  { per: ['user'], rate: { limit: 3, periodMs: 60_000 } },
  { per: ['user', 'tool'], concurrency: 2 },
  { per: ['owner'], quota: { limit: 10, windowMs: 3_600_000 } },
];

/** Two tools: one whose calls run until they are let go, one that always can. */
async function yardWith(limits = limited) {
  const yard = await setup();
  const letGo = signal();
  const tool = (name: string, policy: PolicyInput, handler: () => unknown) =>
    defineTool({ name, version: '1.0.0', description: name, parameters: Type.Object({}), policy, handler });
  const held = tool('held', { limits }, () => letGo.promise);
  const free = tool('free', {}, () => 'done');
  await yard.worker([held, free], { concurrency: 4 });
  const dispatcher = await yard.dispatcher();
  const start = (count: number) =>
    dispatcher.execute(
      Array.from({ length: count }, () => toolCall('held')),
      { principal },
    );
  return { yard, dispatcher, letGo, start };
}

describe('what limits leave a user', () => {
  it('is everything while nothing has started, and asking takes none of it', async () => {
    const { dispatcher } = await yardWith();
    const first = await dispatcher.limits(principal, 'held');
    expect(first).toMatchObject({ running: 0, waiting: 0 });
    expect(first.tools).toMatchObject([
      {
        tool: 'held',
        startsInMs: 0,
        limits: [
          { per: ['user'], rate: { limit: 3, periodMs: 60_000 }, remaining: 3 },
          { per: ['user', 'tool'], concurrency: 2, remaining: 2, running: 0 },
          { per: ['owner'], quota: { limit: 10 }, remaining: 10 },
        ],
      },
    ]);
    const again = await dispatcher.limits(principal, 'held');
    expect(again.tools[0]?.limits.map(({ remaining }) => remaining)).toEqual([3, 2, 10]);
  });

  it('counts what runs and what waits, and says what the next start waits for', async () => {
    const { dispatcher, letGo, start } = await yardWith();
    const ran = start(4);
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject({ running: 2, waiting: 2 });
    const { tools } = await dispatcher.limits(principal, 'held');
    expect(tools[0]).toMatchObject({ running: 2, waiting: 2 });
    expect(tools[0]).not.toHaveProperty('startsInMs');
    expect(tools[0]?.limits).toMatchObject([{ remaining: 1 }, { remaining: 0, running: 2 }, { remaining: 8 }]);
    const all = await dispatcher.limits(principal);
    expect(all.tools.find(({ tool }) => tool === 'free')).toMatchObject({ startsInMs: 0, running: 0, waiting: 0 });
    letGo.resolve();
    await expect.poll(() => dispatcher.limits(principal, 'held')).toMatchObject({ running: 0, waiting: 1 });
    const empty = (await dispatcher.limits(principal, 'held')).tools[0];
    expect(empty?.limits[0]).toMatchObject({ remaining: 0 });
    expect(empty?.startsInMs).toBeGreaterThan(15_000);
    expect(empty?.startsInMs).toBeLessThanOrEqual(20_000);
    expect(empty?.limits[2]?.turnsInMs).toBeLessThanOrEqual(3_600_000);
    await yardEnds(ran, dispatcher);
  });

  it('is told apart from that of others', async () => {
    const { dispatcher, letGo, start } = await yardWith();
    const ran = start(1);
    await expect.poll(() => dispatcher.limits(principal)).toMatchObject({ running: 1 });
    const ben = await dispatcher.limits({ owner: 'acme', userId: 'ben' }, 'held');
    expect(ben).toMatchObject({ running: 0, waiting: 0 });
    expect(ben.tools[0]?.limits.map(({ remaining }) => remaining)).toEqual([3, 2, 9]);
    letGo.resolve();
    await ran;
  });

  it('includes the limits of configuration for the roles that are given', async () => {
    const { yard } = await yardWith();
    const limits = [{ per: ['user' as const], concurrency: 1, for: { role: 'free' } }];
    const dispatcher = await yard.dispatcher({ limits });
    const of = async (roles: string[]) => (await dispatcher.limits({ ...principal, roles }, 'free')).tools[0]?.limits;
    expect(await of([])).toEqual([]);
    expect(await of(['free'])).toMatchObject([{ concurrency: 1, remaining: 1 }]);
  });

  it('refuses a tool nobody serves, and a user that cannot be one', async () => {
    const { dispatcher } = await yardWith();
    await expect(dispatcher.limits(principal, 'hled')).rejects.toThrow(
      'no live worker serves hled; did you mean held?',
    );
    await expect(dispatcher.limits({ owner: 'acme', userId: '' })).rejects.toThrow('principal/userId');
  });
});

/** A call that would wait for a minute is left to the end of its dispatcher. */
async function yardEnds(ran: Promise<unknown>, dispatcher: { close(): Promise<void> }): Promise<void> {
  void ran.catch(() => {});
  await dispatcher.close();
}
