import { fork, type ChildProcess } from 'node:child_process';
import { CallError, type FailureCode, type Retry } from '@callyard/shared/failure';
import { traceFields } from '@callyard/shared/log';
import { traceHeaders } from '@callyard/shared/telemetry';
import type { Principal } from '@callyard/shared/principal';
import type { Tool, ToolContext } from '@callyard/shared/tool';

/** What the parent asks of the child. */
export interface IsolatedCall {
  /** URL of the module that exports the tool */
  module: string;
  name: string;
  version: string;
  args: unknown;
  ctx: {
    principal: Principal;
    idempotencyKey: string;
    attempt: number;
    conversationId: string | undefined;
  };
  /** as headers, for hosts that the policy marks */
  trace: Record<string, string>;
  /** what its log lines are to say */
  log: Record<string, unknown>;
}

/** What the child answers: the result as JSON text, or the error as what happens next. */
export type IsolatedAnswer =
  | { result: string }
  | { error: { code: FailureCode; message: string; retry: Retry; suggestion?: string; details?: unknown } };

/** What it says before that. */
export interface IsolatedProgress {
  progress: unknown;
}

const childScript = new URL('./isolated-child.ts', import.meta.url);

/** Children that wait for their next call: starting one costs about as much as a slow tool, so they are kept. */
const idle = new Set<ChildProcess>();

/** More are not kept: each holds some 150 MB, and a burst would leave as many of them as the worker has slots. */
const maxIdle = 4;

/** Runs a handler in a child process, which is killed when the signal aborts. */
export async function runIsolated(tool: Tool, args: unknown, ctx: ToolContext): Promise<unknown> {
  const { signal, principal, idempotencyKey, attempt, conversationId } = ctx;
  signal.throwIfAborted();
  const child = takeChild();
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  try {
    const { name, version } = tool.manifest;
    const module = tool.module ?? '';
    const call: IsolatedCall = {
      module,
      name,
      version,
      args,
      ctx: { principal, idempotencyKey, attempt, conversationId },
      trace: traceHeaders(),
      log: { ...ctx.log.bindings(), ...traceFields() },
    };
    const answer = await ask(child, call, ctx.progress);
    giveBack(child);
    if ('result' in answer) return JSON.parse(answer.result);
    const { code, message, ...options } = answer.error;
    throw new CallError(code, message, options);
  } finally {
    signal.removeEventListener('abort', kill);
  }
}

/** Ends the children that wait for a call; called when the worker stops. */
export function stopIsolated(): void {
  for (const child of idle) child.kill('SIGKILL');
  idle.clear();
}

function takeChild(): ChildProcess {
  const [waiting] = idle;
  if (!waiting) return startChild();
  idle.delete(waiting);
  waiting.ref();
  return waiting;
}

function startChild(): ChildProcess {
  const child = fork(childScript, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return child.once('disconnect', () => idle.delete(child));
}

function giveBack(child: ChildProcess): void {
  if (!child.connected) return;
  if (idle.size === maxIdle) return void child.kill('SIGKILL');
  idle.add(child);
  child.unref();
  child.channel?.unref();
}

/** One question, one answer, and what is said on the way; a child that dies before it answers rejects. */
function ask(child: ChildProcess, call: IsolatedCall, progress: ToolContext['progress']): Promise<IsolatedAnswer> {
  return new Promise((resolve, reject) => {
    const end = (settle: () => void) => {
      child.off('message', onMessage).off('exit', onExit).off('error', onError);
      settle();
    };
    const onMessage = (message: IsolatedAnswer | IsolatedProgress) =>
      'progress' in message ? progress(message.progress) : end(() => resolve(message));
    const onExit = (code: number | null, signal: string | null) =>
      end(() =>
        reject(
          new CallError('tool_error', `The isolated tool died (${signal ?? `exit ${code}`}).`, { retry: 'backoff' }),
        ),
      );
    const onError = (error: Error) => end(() => reject(error));
    child.on('message', onMessage).on('exit', onExit).on('error', onError);
    child.channel?.ref();
    child.send(call, (error) => error && onError(error));
  });
}
