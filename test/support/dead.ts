import { defineTool, ToolError, Type, type PolicyInput } from '@callyard/worker';
import type { Dispatcher, Retried } from '@callyard/dispatcher';
import type { Outcome } from '@callyard/shared/call';
import { principal, toolCall, type Callyard } from './setup.ts';

/** A tool that fails until it is mended, and remembers the idempotency keys it was run with. */
export function brittle(policy: PolicyInput = {}, { name = 'brittle', version = '1.0.0' } = {}) {
  const ran: string[] = [];
  const state = { mended: false };
  const tool = defineTool({
    name,
    version,
    description: 'Fails until it is mended',
    parameters: Type.Object({ n: Type.Optional(Type.Integer()), password: Type.Optional(Type.String()) }),
    policy: { retry: { attempts: 1 }, ...policy },
    handler: ({ n = 0 }, { idempotencyKey }) => {
      ran.push(idempotencyKey);
      if (!state.mended) throw new ToolError('broken today');
      return { n };
    },
  });
  return { tool, ran, mend: () => (state.mended = true) };
}

/** The time that calls were given which end as dead letters. */
const letDieMs = 20_000;

/** Calls of a tool that end as dead letters; resolves once they are. */
export async function letDie(
  yard: Callyard,
  dispatcher: Dispatcher,
  count: number,
  { tool = 'brittle', who = principal, args = {} }: { tool?: string; who?: typeof principal; args?: object } = {},
): Promise<Outcome[]> {
  const calls = Array.from({ length: count }, (_, n) => toolCall(tool, { n, ...args }));
  const { outcomes } = await dispatcher.execute(calls, { principal: who, timeoutMs: letDieMs });
  for (const { key } of outcomes) await untilDead(yard, key);
  return outcomes;
}

/** A job is concluded a moment after its outcome is told. */
async function untilDead(yard: Callyard, key: string): Promise<void> {
  for (;;) {
    const pools = await yard.redis.zrange(yard.names.pools, '0', '-1');
    const found = await Promise.all(pools.map((pool) => yard.redis.zscore(yard.names.failed(pool), key)));
    if (found.some((score) => score !== null)) return;
  }
}

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

/** Fast enough that no test waits for it. */
export const atOnce = { rate: { limit: 10_000, periodMs: 1_000 } };

/** What became of each letter: the status of its retry, or why it was skipped. */
export const endsOf = async (retries: AsyncIterable<Retried>): Promise<string[]> =>
  Promise.all((await all(retries)).map(async (one) => ('skipped' in one ? one.skipped : (await one.outcome()).status)));
