/* A worker whose tool holds every call until it is told to let them go. Arguments: REDIS_URL PREFIX SLOTS */
import { createLogger } from '@callyard/shared/log';
import { createWorker, defineTool, Type } from '@callyard/worker';

const [redisUrl = '', prefix = '', slots = ''] = process.argv.slice(2);
const opened = Promise.withResolvers<void>();
const slow = defineTool({
  name: 'slow',
  version: '1.0.0',
  description: 'Waits',
  parameters: Type.Object({}),
  policy: { timeoutMs: 600_000 },
  async handler() {
    await opened.promise;
    return 'at last';
  },
});
const log = createLogger({ name: 'bench', level: 'error' });
await createWorker({ redisUrl, prefix, log, tools: [slow], concurrency: Number(slots) });
process.on('disconnect', () => process.exit());
process.on('message', () => opened.resolve());
process.send?.('ready');
