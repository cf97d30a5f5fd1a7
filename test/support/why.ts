import { expect } from 'vitest';
import type { Dispatcher } from '@callyard/dispatcher';
import { defineTool, Type, type PolicyInput } from '@callyard/worker';
import { renderCall, renderGone, renderRunCalls, renderUnreadable } from '../../packages/cli/src/why-page.ts';
import { signal, type Callyard } from './setup.ts';

/** What an operator reads of a call, or of a run. */
export async function page(dispatcher: Dispatcher, key: string, content = false): Promise<string> {
  const why = await dispatcher.why(key, { content });
  if (why.kind === 'call') return renderCall(why, 'http://jaeger/trace/{trace}');
  if (why.kind === 'run') return renderRunCalls(why, '');
  if (why.kind === 'unreadable') return renderUnreadable(why);
  return why.kind === 'gone' ? renderGone(why) : `malformed, ${why.nearest}`;
}

/** A tool whose calls begin when the test says so; `begun` resolves when the first has. */
export function gated(policy: PolicyInput = {}) {
  const begun = signal();
  const gate = signal();
  const tool = defineTool({
    name: 'gated',
    version: '1.0.0',
    description: 'Ends when it is let',
    parameters: Type.Object({ n: Type.Optional(Type.Integer()) }),
    policy: { timeoutMs: 20_000, ...policy },
    async handler({ n = 0 }) {
      begun.resolve();
      await gate.promise;
      return { n };
    },
  });
  return { tool, begun: begun.promise, open: gate.resolve };
}

/** The keys of the calls that are on their way, in their order. */
export async function enqueued(yard: Callyard, count: number): Promise<string[]> {
  const keys = () =>
    yard.logged.flatMap(({ event, job_id }) => (event === 'call.enqueued' ? String(job_id) : [])).toSorted();
  await expect.poll(keys).toHaveLength(count);
  return keys();
}
