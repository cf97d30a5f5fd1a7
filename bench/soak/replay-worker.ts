/* A worker of the soak: the tools of a recording, each taking a while, so that a kill hits calls that run. Argument: FILE */
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfig } from '@callyard/shared/config';
import { readCases } from '../../packages/cli/src/replay/cases.ts';
import { echoTools } from '../../packages/cli/src/replay/recorded-tools.ts';
import { serve } from '../../packages/cli/src/serve.ts';

const toolMs = 50;

const { cases } = await readCases(process.argv[2] ?? '');
const tools = echoTools(cases).map((tool) => ({
  ...tool,
  handler: async (args: unknown) => {
    await delay(toolMs);
    return args;
  },
}));
await serve({ ...loadConfig('worker'), metricsPort: 0 }, tools);
