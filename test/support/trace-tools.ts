import { Redis } from 'ioredis';
import { loadConfig } from '@callyard/shared/config';
import { defineTool, ToolError, Type } from '@callyard/worker';

/* Tools of worker processes in tests of traces, beside those of process-tools.ts. */
export * from './process-tools.ts';

const { redisUrl, prefix } = loadConfig('worker');
const redis = new Redis(redisUrl);

export const metered = defineTool({
  name: 'metered',
  version: '1.0.0',
  description: 'May start once in 300 ms for each user',
  parameters: Type.Object({}),
  policy: { limits: [{ per: ['user'], rate: { limit: 1, periodMs: 300, burst: 1 } }] },
  handler: () => 'counted',
});

export const brittle = defineTool({
  name: 'brittle',
  version: '1.0.0',
  description: 'Fails until it is mended',
  parameters: Type.Object({}),
  policy: { retry: { attempts: 1 } },
  async handler() {
    if ((await redis.exists(`{${prefix}:0}:mended`)) === 0) throw new ToolError('broken today');
    return 'mended';
  },
});

export const leaky = defineTool({
  name: 'leaky',
  version: '1.0.0',
  description: 'Says more than it should: in its result and its errors',
  parameters: Type.Object({ fails: Type.Boolean(), words: Type.String(), password: Type.String() }),
  policy: { retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 5 } },
  handler({ fails, words, password }) {
    if (!fails) return { words, password };
    throw Object.assign(new Error(`${words}: ${JSON.stringify({ password })}`), { code: password });
  },
});
