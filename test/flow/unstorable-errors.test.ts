import { expect, it } from 'vitest';
import { defineTool, ToolError, Type } from '@callyard/worker';
import { principal, setup, toolCall } from '../support/setup.ts';

const circle: Record<string, unknown> = {};
circle.self = circle;

it.each([
  ['a BigInt', { n: 1n }],
  ['a circle', circle],
])('an error with %s for details still ends its call at once', async (_what, details) => {
  const yard = await setup();
  const fail = defineTool({
    name: 'fail',
    version: '1.0.0',
    description: 'Fails',
    parameters: Type.Object({}),
    handler() {
      throw new ToolError('no', { details });
    },
  });
  await yard.worker([fail]);
  const dispatcher = await yard.dispatcher();
  const { outcomes } = await dispatcher.execute([toolCall('fail')], { principal });
  expect(outcomes[0]).toMatchObject({
    status: 'failed',
    settledBy: 'worker',
    error: { code: 'tool_error', message: 'no' },
  });
});
