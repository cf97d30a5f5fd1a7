/**
 * A tool that asks a person: small transfers go through, large ones wait until somebody approves or denies them, and
 * take no slot of a worker meanwhile. REDIS_URL says which Redis.
 */
import { createDispatcher, scriptedModel } from '@callyard/dispatcher';
import { loadConfig } from '@callyard/shared/config';
import { createWorker, defineTool, Type } from '@callyard/worker';

const transfer = defineTool({
  name: 'transfer',
  version: '1.0.0',
  description: 'Transfers money',
  parameters: Type.Object({ to: Type.String(), amount: Type.Number({ exclusiveMinimum: 0 }) }),
  policy: { effects: 'at-most-once', approval: { requires: ['role:treasurer'] } },
  needsApproval: ({ amount }) => amount > 100,
  handler: ({ to, amount }) => `${amount} EUR went to ${to}`,
});

const transfers = [
  { to: 'Ann', amount: 20 },
  { to: 'Ben', amount: 500 },
  { to: 'Eve', amount: 9_000 },
];
const model = scriptedModel(({ turn }) => {
  if (turn > 0) return { role: 'assistant', content: 'That is all.' };
  const calls = transfers.map((args, i) => ({
    id: `call_${i}`,
    type: 'function' as const,
    function: { name: 'transfer', arguments: JSON.stringify(args) },
  }));
  return { role: 'assistant', tool_calls: calls };
});

const { redisUrl, prefix } = loadConfig('dispatcher');
// Who decided is on record whatever the level; only a log that is silent, without an `auditFile`, keeps it from the terminal.
const worker = await createWorker({ redisUrl, prefix, tools: [transfer], logLevel: 'silent' });
const dispatcher = await createDispatcher({ redisUrl, prefix, model, logLevel: 'silent' });
const owner = 'acme';
const treasurer = { owner, userId: 'tom', roles: ['treasurer'] };

const messages = [{ role: 'user', content: 'Pay Ann, Ben and Eve.' }] as const;
const { runId } = await dispatcher.submit({ messages, principal: { owner, userId: 'mia' }, events: true });

/** What a person would look at before they decide. */
async function decide(key: string): Promise<void> {
  for await (const call of dispatcher.approvals.list(owner)) {
    if (call.key !== key) continue;
    const { amount } = call.arguments as { amount: number };
    if (amount > 1_000) await dispatcher.approvals.deny(key, { by: treasurer, why: 'Ask the board first.' });
    else await dispatcher.approvals.approve(key, { by: treasurer });
  }
}

for await (const event of dispatcher.events(runId, { owner })) {
  if (event.type === 'approval.needed') await decide(event.key);
}

const { outcomes, text } = await dispatcher.wait(runId, { owner });
for (const { status, value, error } of outcomes) console.log(status, value ?? error?.message);
console.log(text);

await dispatcher.close();
await worker.close();
