import { describe, expect, inject, it } from 'vitest';
import type { Outcome } from '@callyard/shared/call';
import { defineTool, Type, type ToolContext } from '@callyard/worker';
import { redisProxy } from '../support/redis-proxy.ts';
import { principal, setup, toolCall, type Callyard } from '../support/setup.ts';

/** How often each call has started. */
const starts = new Map<string, number>();
const tool = {
  version: '1.0.0',
  description: 'Answers',
  parameters: Type.Object({}),
  handler(_args: object, { idempotencyKey }: ToolContext) {
    starts.set(idempotencyKey, 1 + (starts.get(idempotencyKey) ?? 0));
    return 'done';
  },
};
const limits = [{ per: ['user' as const], concurrency: 1, rate: { limit: 50, periodMs: 1_000, burst: 2 } }];
const tools = [
  // One at a time and a few a second: of four calls one starts at once, the others wait in a lane and in a ring.
  defineTool({ ...tool, name: 'limited', policy: { limits } }),
  // Done before a dispatcher that has lost its connection is back.
  defineTool({ ...tool, name: 'free' }),
];

/** Of a worker that loses its connection. With these any that is held up for a moment loses its calls. */
const recovery = { lockMs: 600, stalledCheckMs: 150 };

/** Nothing of admission is left: no call out, no lane, nothing that waits. */
async function left({ redis, names }: Callyard, pool: string): Promise<string[]> {
  const found = await redis.keys(`${names.tag}:*`);
  const own = /^(lane:|out:|later$|ready:|bucket:c:|bucket:.*:lanes$)/;
  const bull = new RegExp(`^calls-${pool}:(wait|active|delayed)$`);
  return found.map((key) => key.slice(names.tag.length + 1)).filter((key) => own.test(key) || bull.test(key));
}

type Who = 'dispatcher' | 'worker';

/** An installation one part of which has Redis behind a proxy. */
async function faulty(who: Who, name: 'limited' | 'free') {
  const proxy = await redisProxy(inject('redisUrl')); // ends after the yard, whose parts say goodbye through it
  const yard = await setup();
  const far = { redisUrl: proxy.url };
  const worker = await yard.worker(tools, { concurrency: 2, ...(who === 'worker' && { ...recovery, ...far }) });
  const dispatcher = await yard.dispatcher(who === 'dispatcher' ? far : {});
  const run = async (): Promise<Outcome[]> => {
    const calls = Array.from({ length: 4 }, () => toolCall(name));
    const { outcomes } = await dispatcher.execute(calls, { principal, timeoutMs: 15_000 });
    expect(outcomes.map(({ status, value, call }) => [call.id, status, value])).toEqual(
      calls.map(({ id }) => [id, 'completed', 'done']),
    );
    await expect.poll(() => left(yard, worker.pool), { timeout: 5_000, interval: 10 }).toEqual([]);
    return outcomes;
  };
  return { proxy, run };
}

/** Cuts after each command of a run in turn, until one has none left to cut after. Resolves with what became of all calls. */
async function cutEverywhere(who: Who, name: 'limited' | 'free' = 'limited'): Promise<Outcome[]> {
  const { proxy, run } = await faulty(who, name);
  await run(); // scripts are loaded by the first
  const all: Outcome[] = [];
  let cuts = 0;
  do {
    proxy.cutAfter(cuts + 1);
    all.push(...(await run()));
    cuts += 1;
  } while (proxy.hasCut());
  expect(cuts).toBeGreaterThan(5);
  return all;
}

describe('every call has one outcome, and nothing is left of it, when Redis is lost', () => {
  it.each(['limited', 'free'] as const)(
    'after any command of the dispatcher, which sends again what nobody answered: it runs once, %s',
    { timeout: 60_000 },
    async (name) => {
      const outcomes = await cutEverywhere('dispatcher', name);
      expect(outcomes.filter(({ attempts, lost }) => attempts !== 1 || lost !== 0)).toEqual([]);
      expect(outcomes.filter(({ key }) => starts.get(key) !== 1)).toEqual([]);
    },
  );

  it('after any command of the worker, which may run a call again', async () => {
    const outcomes = await cutEverywhere('worker');
    expect(outcomes.filter(({ attempts }) => attempts < 1)).toEqual([]);
  }, 120_000);
});
