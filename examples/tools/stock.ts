import { defineTool, ToolError, Type } from '@callyard/worker';

/** A warehouse that is always busy at first: what a retry is for. */
export const checkStock = defineTool({
  name: 'check_stock',
  version: '1.0.0',
  description: 'How many of an item are in stock',
  category: 'orders',
  parameters: Type.Object({ item: Type.String({ minLength: 1, maxLength: 200 }) }, { additionalProperties: false }),
  policy: { effects: 'none', retry: { attempts: 3, minDelayMs: 50 } },
  handler({ item }, { attempt }) {
    if (attempt === 1) throw new ToolError('The warehouse is busy.', { retry: 'backoff' });
    return { item, inStock: item.length };
  },
});
