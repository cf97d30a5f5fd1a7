/* A dispatcher whose runs wait for a slow tool; tells its heap when asked. Arguments: REDIS_URL PREFIX MAX_RUNS */
import { createDispatcher, scriptedModel } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';

const [redisUrl = '', prefix = '', maxRuns = ''] = process.argv.slice(2);
const call = { id: 'c', type: 'function', function: { name: 'slow', arguments: '{}' } } as const;
const model = scriptedModel(({ turn }) =>
  turn === 0 ? { role: 'assistant', content: null, tool_calls: [call] } : { role: 'assistant', content: 'Done.' },
);
const log = createLogger({ name: 'bench', level: 'error' });
const dispatcher = await createDispatcher({ redisUrl, prefix, log, model, parkAfterMs: 500, maxRuns: Number(maxRuns) });
await dispatcher.waitForTools(['slow']);
process.on('disconnect', () => process.exit());
process.on('message', () => {
  globalThis.gc?.();
  process.send?.(process.memoryUsage().heapUsed);
});
process.send?.('ready');
