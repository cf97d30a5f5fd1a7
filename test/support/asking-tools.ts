import { defineTool, Type, type ToolContext } from '@callyard/worker';

/* Two tools that ask a service on this machine, which their policy marks to be told the trace. */

const parameters = Type.Object({ url: Type.String() });
const policy = { hosts: [{ host: '127.0.0.1', internal: true, trace: true }] };
const ask = async ({ url }: { url: string }, ctx: ToolContext) => (await ctx.fetch(url)).status;

export const asks = defineTool({
  name: 'asks',
  version: '1.0.0',
  description: 'Asks a service',
  parameters,
  policy,
  handler: ask,
});

export const asksAlone = defineTool({
  name: 'asks_alone',
  version: '1.0.0',
  description: 'Asks a service from a process of its own',
  parameters,
  policy: { ...policy, isolate: true },
  module: import.meta.url,
  handler: ask,
});
