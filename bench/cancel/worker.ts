/* A worker of the bench of cancelling; its settings are its environment. It tells its parent when handlers start and abort. */
import { loadConfig } from '@callyard/shared/config';
import { defineTool, Type } from '@callyard/worker';
import { serve } from '../../packages/cli/src/serve.ts';
import { nowMs, type Heard } from './heard.ts';

const tell = (heard: Heard): void => void process.send?.(heard);

const hold = defineTool({
  name: 'hold',
  version: '1.0.0',
  description: 'Runs until it is aborted',
  parameters: Type.Object({ id: Type.String() }),
  policy: { timeoutMs: 600_000 },
  handler: ({ id }, { signal }) =>
    new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => {
        tell({ id, is: 'aborted', at: nowMs() });
        resolve();
      });
      tell({ id, is: 'started', at: nowMs() });
    }),
});

await serve({ ...loadConfig('worker'), metricsPort: 0 }, [hold]);
