import { setTimeout as delay } from 'node:timers/promises';
import { defineTool, ToolError, Type } from '@callyard/worker';

/* Tools of the worker processes whose metrics are read: one for each way in which a call goes. */

const Text = Type.Object({ text: Type.String() });
const Nothing = Type.Object({});

export const echo = defineTool({
  name: 'echo',
  version: '1.0.0',
  description: 'Answers what it is given',
  parameters: Text,
  handler: ({ text }) => ({ text }),
});

export const keptEcho = defineTool({
  name: 'kept_echo',
  version: '1.0.0',
  description: 'Answers what it is given, and keeps it',
  parameters: Text,
  policy: { effects: 'none', cache: { ttlMs: 60_000, scope: 'shared' } },
  handler: ({ text }) => ({ text }),
});

export const narrow = defineTool({
  name: 'narrow',
  version: '1.0.0',
  description: 'Runs for one at a time',
  parameters: Nothing,
  policy: { limits: [{ per: ['user'], concurrency: 1 }] },
  handler: () => delay(50, 'through'),
});

export const stumbles = defineTool({
  name: 'stumbles',
  version: '1.0.0',
  description: 'Fails at first',
  parameters: Nothing,
  policy: { retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 5 } },
  handler(_args, { attempt }) {
    if (attempt === 1) throw new ToolError('stumbled', { retry: 'backoff' });
    return 'through';
  },
});

export const breaks = defineTool({
  name: 'breaks',
  version: '1.0.0',
  description: 'Fails for good',
  parameters: Text,
  handler({ text }) {
    throw new ToolError(`broken by ${text}`);
  },
});
