/**
 * A durable run: submitted by a key, followed by its events, read when it has ended. Started again, it finds the run of
 * the same key and pays for no second one. REDIS_URL says which Redis.
 */
import { createDispatcher, scriptedModel } from '@callyard/dispatcher';
import { loadConfig } from '@callyard/shared/config';
import { createWorker } from '@callyard/worker';
import { calculate } from '../tools/calculator.ts';

/** Proposes a call in the first turn, and reads its answer in the second. Any model adapter can stand here. */
const model = scriptedModel(({ turn, messages }) => {
  if (turn > 0) {
    const { result } = JSON.parse(String(messages.at(-1)?.content)) as { result: number };
    return { role: 'assistant', content: `Together that is ${result}.` };
  }
  const call = { name: 'calculate', arguments: JSON.stringify({ expression: '349 + 129.5' }) };
  return { role: 'assistant', tool_calls: [{ id: 'call_1', type: 'function', function: call }] };
});

const { redisUrl, prefix } = loadConfig('dispatcher');
const worker = await createWorker({ redisUrl, prefix, tools: [calculate], logLevel: 'error' });
const dispatcher = await createDispatcher({ redisUrl, prefix, model, logLevel: 'error' });
const principal = { owner: 'acme', userId: 'mia' };
const { owner } = principal;

const { runId, isNew } = await dispatcher.submit({
  messages: [{ role: 'user', content: 'What do order 17 and its shipping cost?' }],
  principal,
  key: 'order-17',
  events: true,
});
console.log(isNew ? 'submitted' : 'this was submitted before');

// A reader that went away goes on with `after`, the last id it has seen.
for await (const event of dispatcher.events(runId, { owner })) {
  if (event.type === 'model.finished') for (const { tool } of event.calls) console.log(`the model calls ${tool}`);
  if (event.type === 'call.finished') console.log(`${event.tool} ${event.status}`);
  if (event.type === 'end') console.log(`the run ${event.state}`);
}

const { text, turns, outcomes } = await dispatcher.wait(runId, { owner });
console.log(`${turns} turns, ${outcomes.length} call: ${text}`);

await dispatcher.close();
await worker.close();
