import { setTimeout as delay } from 'node:timers/promises';
import { defineTool, ToolError, Type, type ToolContext } from '@callyard/worker';

/** One tool whose behaviour is an argument, so that a test reads as a table. */
export const act = defineTool({
  name: 'act',
  version: '1.0.0',
  description: 'Does what it is told',
  parameters: Type.Object({
    mode: Type.Union(
      (['ok', 'throw', 'fail', 'hang', 'bigint', 'circular', 'undefined', 'huge', 'secret', 'slow'] as const).map(
        (mode) => Type.Literal(mode),
      ),
    ),
    text: Type.Optional(Type.String()),
    ms: Type.Optional(Type.Integer({ minimum: 0 })),
  }),
  policy: { timeoutMs: 300, retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 5 } },
  handler: ({ mode, text = '', ms = 20 }, ctx) => behave(mode, text, ms, ctx),
});

async function behave(mode: string, text: string, ms: number, { signal, attempt }: ToolContext): Promise<unknown> {
  switch (mode) {
    case 'throw':
      throw new ToolError(text || 'told to throw', { suggestion: 'tell it something else' });
    case 'fail':
      throw new Error(`attempt ${attempt} failed`);
    case 'hang':
      return new Promise(() => {});
    case 'bigint':
      return { amount: 10n };
    case 'circular': {
      const ring: Record<string, unknown> = {};
      ring.self = ring;
      return ring;
    }
    case 'undefined':
      return undefined;
    case 'huge':
      return 'x'.repeat(50 * 2 ** 20);
    case 'secret':
      return { user: 'mia', password: 'hunter2', nested: { api_key: 'k-123' } };
    case 'slow':
      await delay(ms, undefined, { signal });
      return { text, ms };
    default:
      return { text };
  }
}
