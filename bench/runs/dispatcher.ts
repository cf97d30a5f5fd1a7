/* A dispatcher of the bench of runs: drives as many as it is ordered. Arguments: REDIS_URL PREFIX */
import { createDispatcher, scriptedModel } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { proposal } from '../turns/callyard.ts';
import type { RunReport } from '../turns/variants.ts';
import { principal, question, type RunsOrder } from './order.ts';

const [redisUrl = '', prefix = ''] = process.argv.slice(2);

const model = scriptedModel(({ turn }) => (turn === 0 ? proposal : { role: 'assistant', content: 'Done.' }));
const log = createLogger({ name: 'bench', level: 'error' });
const dispatcher = await createDispatcher({ redisUrl, prefix, log, model });
await dispatcher.waitForTools(['echo']);

const drives = {
  memory: () => dispatcher.run({ messages: [question], principal }),
  async durable() {
    const { runId } = await dispatcher.submit({ messages: [question], principal });
    return dispatcher.wait(runId, { owner: principal.owner });
  },
};

async function drive({ kind, runs, concurrency }: RunsOrder): Promise<RunReport> {
  const latenciesMs: number[] = [];
  let left = runs;
  const startedAt = performance.now();
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const at = performance.now();
      const { state } = await drives[kind]();
      if (state !== 'completed') throw new Error(`a run is ${state}`);
      latenciesMs.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return { elapsedMs: performance.now() - startedAt, latenciesMs };
}

process.on('message', (order: RunsOrder) => void drive(order).then((report) => process.send?.(report)));
process.on('disconnect', () => process.exit());
process.send?.('ready');
