import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { Manifest } from '@callyard/shared/tool';
import { connectDispatcher, type DispatcherOptions } from './connect.ts';
import { executeCalls, type Executed, type ExecuteOptions } from './execute.ts';
import type { ToolCall } from './model.ts';
import { runConversation, type RunOptions, type RunResult } from './run.ts';

export interface Dispatcher {
  readonly id: string;
  /** Drives a conversation until the model answers. Rejects only for what the caller did wrong. */
  run(options: RunOptions): Promise<RunResult>;
  /** Runs the calls of somebody else's loop: outcomes in the order of the calls. */
  execute(toolCalls: readonly ToolCall[], options: ExecuteOptions): Promise<Executed>;
  /** The tools that are live, in their highest version. */
  tools(): readonly Manifest[];
  /** Resolves when workers serve all of these. */
  waitForTools(names: readonly string[], timeoutMs?: number): Promise<void>;
  close(): Promise<void>;
}

/** Connects to Redis and the catalog. Rejects with a clear message when Redis cannot be reached or evicts. */
export async function createDispatcher(options: DispatcherOptions = {}): Promise<Dispatcher> {
  const id = `${hostname().split('.', 1)[0]}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const connected = await connectDispatcher(id, options);
  const { live, close } = connected;
  return {
    id,
    run: (run) => runConversation(run, connected),
    execute: (calls, execute) => executeCalls(calls, execute, connected),
    tools: () => live.latest(),
    waitForTools: (names, timeoutMs = 30_000) => live.until(names, AbortSignal.timeout(timeoutMs)),
    close,
  };
}
