import { defineTool, Type } from '@callyard/worker';

/** Money moves at most once, and only for those who may. */
export const refundOrder = defineTool({
  name: 'refund_order',
  version: '1.0.0',
  description: 'Refunds an order',
  category: 'orders',
  parameters: Type.Object({ order: Type.Integer({ minimum: 1 }) }, { additionalProperties: false }),
  policy: { requires: ['role:support'], effects: 'at-most-once' },
  handler: ({ order }, { principal, idempotencyKey }) => ({
    order,
    refundedBy: principal.userId,
    reference: idempotencyKey,
  }),
});
