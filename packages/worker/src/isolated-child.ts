/* The child process of `policy.isolate`: takes one call at a time from its worker and answers it. */
import { Worker } from 'node:worker_threads';
import { createLogger } from '@callyard/shared/log';
import type { CallError } from '@callyard/shared/failure';
import type { ConversationContext, Tool } from '@callyard/shared/tool';
import { classifyError } from './classify.ts';
import { createFetch } from './fetch.ts';
import type { IsolatedAnswer, IsolatedCall, IsolatedProgress } from './isolate.ts';
import { toolsIn } from './load-tools.ts';
import { toJson } from './redact.ts';

process.on('disconnect', () => process.exit());
endWithParent();
process.on('message', (call: IsolatedCall) => {
  void answer(call).then((reply) => process.send?.(reply));
});

/** A handler that never gives the processor back hears of no disconnect, so a thread looks whose child this is. */
function endWithParent(): void {
  const watch = `
    const { ppid } = process;
    setInterval(() => process.ppid === ppid || process.kill(process.pid, 'SIGKILL'), 1_000);
  `;
  new Worker(watch, { eval: true }).unref();
}

async function answer(call: IsolatedCall): Promise<IsolatedAnswer> {
  try {
    const tool = await findTool(call);
    return { result: toJson(await tool.handler(call.args as never, contextOf(call, tool))) };
  } catch (error) {
    return { error: describe(classifyError(error)) };
  }
}

async function findTool({ module, name, version }: IsolatedCall): Promise<Tool> {
  const tools = toolsIn((await import(module)) as Record<string, unknown>);
  const tool = tools.find(({ manifest }) => manifest.name === name && manifest.version === version);
  if (!tool) throw new TypeError(`${module} does not export the tool ${name}@${version}`);
  return tool;
}

function contextOf(
  { ctx, trace, log: { name: _name, pid: _pid, hostname: _hostname, ...fields } }: IsolatedCall,
  { manifest }: Tool,
) {
  // Nothing aborts in here: an abort in the worker kills this process.
  const { signal } = new AbortController();
  return {
    ...ctx,
    conversation: ctx.conversationId === undefined ? undefined : outOfReach(ctx.conversationId),
    signal,
    progress: (progress: unknown) => void process.send?.({ progress } satisfies IsolatedProgress),
    fetch: createFetch({ hosts: manifest.policy.hosts, signal, trace }),
    log: createLogger({ name: 'callyard-isolated', level: 'info' }).child(fields),
  };
}

/** No Redis in here. */
function outOfReach(id: string): ConversationContext {
  const refuse = () => Promise.reject(new TypeError('an isolated handler cannot reach the state of its conversation'));
  return { id, state: refuse, update: refuse };
}

function describe({ code, message, retry, suggestion, details }: CallError) {
  return {
    code,
    message,
    retry,
    ...(suggestion === undefined ? {} : { suggestion }),
    ...(details === undefined ? {} : { details }),
  };
}
