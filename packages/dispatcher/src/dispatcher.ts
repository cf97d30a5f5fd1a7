import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { PrincipalInput } from '@callyard/shared/principal';
import type { Manifest } from '@callyard/shared/tool';
import { connectDispatcher, type DispatcherOptions } from './connect.ts';
import type { DeadLetters } from './dead-letters.ts';
import { executeCalls, type Executed, type ExecuteOptions } from './execute.ts';
import type { ToolCall } from './model.ts';
import { reportLimits, type LimitsReport } from './limits-report.ts';
import { runConversation, type RunOptions, type RunResult } from './run.ts';

export interface Dispatcher {
  readonly id: string;
  /** Drives a conversation until the model answers. Rejects only for what the caller did wrong. */
  run(options: RunOptions): Promise<RunResult>;
  /** Runs the calls of somebody else's loop: outcomes in the order of the calls. */
  execute(toolCalls: readonly ToolCall[], options: ExecuteOptions): Promise<Executed>;
  /** The tools that are live, in their highest version. */
  tools(): readonly Manifest[];
  /** What limits leave a user at this moment, for all live tools or one. Asking takes nothing. */
  limits(principal: PrincipalInput, tool?: string): Promise<LimitsReport>;
  /** Resolves when workers serve all of these. */
  waitForTools(names: readonly string[], timeoutMs?: number): Promise<void>;
  /** Calls that failed for good: to look at, to retry, to drop. */
  readonly deadLetters: DeadLetters;
  close(): Promise<void>;
}

/** Connects to Redis and the catalog. Rejects with a clear message when Redis cannot be reached or evicts. */
export async function createDispatcher(options: DispatcherOptions = {}): Promise<Dispatcher> {
  const id = `${hostname().split('.', 1)[0]}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const connected = await connectDispatcher(id, options);
  const { live, deadLetters, close } = connected;
  return {
    id,
    run: (run) => runConversation(run, connected),
    execute: (calls, execute) => executeCalls(calls, execute, connected),
    tools: () => live.latest(),
    limits: (principal, tool) => reportLimits(principal, tool, connected),
    waitForTools: (names, timeoutMs = 30_000) => live.until(names, AbortSignal.timeout(timeoutMs)),
    deadLetters,
    close,
  };
}
