/* The worker of the memory bench; tells its heap when asked. Arguments: REDIS_URL PREFIX LEDGER_TTL_MS */
import { createLogger } from '@callyard/shared/log';
import { createWorker, defineTool, Type } from '@callyard/worker';

const [redisUrl = '', prefix = '', ledgerTtlMs = ''] = process.argv.slice(2);
const echo = defineTool({
  name: 'echo',
  version: '1.0.0',
  description: 'Returns its arguments',
  parameters: Type.Object({ text: Type.String() }),
  handler: (args) => args,
});
const log = createLogger({ name: 'bench', level: 'error' });
await createWorker({ redisUrl, prefix, log, tools: [echo], ledgerTtlMs: Number(ledgerTtlMs), concurrency: 100 });
process.on('disconnect', () => process.exit());
process.on('message', () => {
  globalThis.gc?.();
  process.send?.(process.memoryUsage().heapUsed);
});
process.send?.('ready');
