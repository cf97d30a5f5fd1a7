import { setTimeout as delay } from 'node:timers/promises';
import { defineTool, ToolError, Type } from '@callyard/worker';

/* What alerts are about: a tool that always fails, one that takes long, and one that computes. */

const nothing = Type.Object({});

export const failing = defineTool({
  name: 'failing',
  version: '1.0.0',
  description: 'Fails for good',
  parameters: nothing,
  policy: { retry: { attempts: 1 } },
  handler() {
    throw new ToolError('It never works.');
  },
});

export const slow = defineTool({
  name: 'slow',
  version: '1.0.0',
  description: 'Takes as long as it is told',
  parameters: Type.Object({ ms: Type.Integer({ minimum: 1 }) }),
  policy: { effects: 'none' },
  async handler({ ms }, { signal }) {
    await delay(ms, undefined, { signal });
    return 'at last';
  },
});

export const computing = defineTool({
  name: 'computing',
  version: '1.0.0',
  description: 'Lets nothing else happen for a while',
  parameters: Type.Object({ ms: Type.Integer({ minimum: 1 }) }),
  policy: { effects: 'none' },
  handler({ ms }) {
    const endAt = performance.now() + ms;
    while (performance.now() < endAt);
    return 'computed';
  },
});
