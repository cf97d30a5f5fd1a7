import { expect } from 'vitest';
import type { Dispatcher, WaitingApproval } from '@callyard/dispatcher';
import { defineTool, Type, type Tool, type ToolDefinition } from '@callyard/worker';
import { setup, type Callyard } from './setup.ts';

const Payment = Type.Object({ amount: Type.Number(), password: Type.Optional(Type.String()) });
type Payments = ToolDefinition<typeof Payment>;

/** A tool that pays, and what it has paid. */
export function payments(more: Partial<Payments> = {}) {
  const paid: number[] = [];
  const pay = defineTool({
    name: 'pay',
    version: '1.0.0',
    description: 'Pays',
    parameters: Payment,
    needsApproval: true,
    handler({ amount }) {
      paid.push(amount);
      return { paid: amount };
    },
    ...more,
  });
  return { pay, paid };
}

/** A tool that needs no approval. */
export const greet = defineTool({
  name: 'greet',
  version: '1.0.0',
  description: 'Greets',
  parameters: Type.Object({}),
  handler: () => 'hello',
});

/** One worker with one slot for these tools, and a dispatcher. */
export async function approvalYard(tools: readonly Tool[]) {
  const yard = await setup();
  const worker = await yard.worker(tools, { concurrency: 1 });
  const dispatcher = await yard.dispatcher();
  return { yard, worker, dispatcher };
}

/** Resolves with the calls that wait for approval once there are so many. */
export async function waitingFor(dispatcher: Dispatcher, count = 1, owner = 'acme'): Promise<WaitingApproval[]> {
  const read = async () => {
    const waiting: WaitingApproval[] = [];
    for await (const one of dispatcher.approvals.list(owner)) waiting.push(one);
    return waiting;
  };
  await expect.poll(async () => (await read()).length, { timeout: 10_000 }).toBe(count);
  return read();
}

/** Resolves when so many jobs of a pool are away until their approval is due, and not for a moment only. */
export async function parked(yard: Callyard, pool: string, count: number): Promise<void> {
  const inTime = (Date.now() + 10_000) * 4_096;
  const delayed = `${yard.names.tag}:calls-${pool}:delayed`;
  await expect.poll(() => yard.redis.zcount(delayed, inTime, '+inf'), { timeout: 10_000 }).toBe(count);
}

/** What a rejected decision rejects with. */
export const codeOf = (decision: Promise<unknown>): Promise<string> =>
  decision.then(
    () => 'taken',
    (error: unknown) => (error as { code: string }).code,
  );
