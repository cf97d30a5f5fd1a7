/* A dispatcher whose runs wait for a slow tool; tells its heap when asked. Arguments: REDIS_URL PREFIX MAX_RUNS PARK_AFTER_MS */
import { setTimeout as delay } from 'node:timers/promises';
import { createDispatcher, scriptedModel } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';

const [redisUrl = '', prefix = '', ...numbers] = process.argv.slice(2);
const [maxRuns = 0, parkAfterMs = 0] = numbers.map(Number);
const call = { id: 'c', type: 'function', function: { name: 'slow', arguments: '{}' } } as const;
const model = scriptedModel(({ turn }) =>
  turn === 0 ? { role: 'assistant', content: null, tool_calls: [call] } : { role: 'assistant', content: 'Done.' },
);
const log = createLogger({ name: 'bench', level: 'error' });
const dispatcher = await createDispatcher({ redisUrl, prefix, log, model, parkAfterMs, maxRuns });
await dispatcher.waitForTools(['slow']);
/** After what was finalized by one collection is collected by the next. */
async function heap(): Promise<number> {
  for (let i = 0; i < 5; i++) {
    globalThis.gc?.();
    await delay(200);
  }
  return process.memoryUsage().heapUsed;
}

process.on('SIGTERM', () => void dispatcher.close().then(() => process.exit()));
process.on('disconnect', () => process.exit());
process.on('message', () => void heap().then((bytes) => process.send?.(bytes)));
process.send?.('ready');
