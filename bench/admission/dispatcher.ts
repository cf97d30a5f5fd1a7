/* A dispatcher of the bench in a process of its own. Arguments: REDIS_URL PREFIX OPTIONS */
import { createDispatcher, type DispatcherOptions } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { ask } from './calls.ts';
import type { Order, Tally } from './dispatcher-process.ts';
import { toolNames } from './tools.ts';

const [redisUrl = '', prefix = '', options = '{}'] = process.argv.slice(2);
const log = createLogger({ name: 'bench', level: 'error' });
const own = JSON.parse(options) as DispatcherOptions;
const dispatcher = await createDispatcher({
  redisUrl,
  prefix,
  log,
  maxCalls: 1_000_000,
  runTimeoutMs: 3_600_000,
  ...own,
});
await dispatcher.waitForTools(toolNames);
process.on('message', (order: Order) => void run(order).then((tally) => process.send?.(tally)));
process.on('disconnect', () => process.exit());
process.send?.('ready');

/** Outcomes by status, or by the code of what went wrong. */
async function run({ count, asked }: Order): Promise<Tally> {
  const all = await Promise.all(asked.map((one) => ask(dispatcher, count, one)));
  const tally: Tally = {};
  for (const { status, error } of all.flat()) tally[error?.code ?? status] = (tally[error?.code ?? status] ?? 0) + 1;
  return tally;
}
