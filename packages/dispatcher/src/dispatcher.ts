import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { PrincipalInput } from '@callyard/shared/principal';
import type { RunEvent } from '@callyard/shared/runs/run-event';
import type { Manifest } from '@callyard/shared/tool';
import type { Approvals } from './approvals.ts';
import { connectDispatcher, type DispatcherOptions } from './connect.ts';
import { createConversations, type Conversations } from './conversations.ts';
import type { DeadLetters } from './dead-letters.ts';
import { executeCalls, type Executed, type ExecuteOptions } from './execute.ts';
import type { ToolCall } from './model.ts';
import { reportLimits, type LimitsReport } from './limits-report.ts';
import { cancelRun, type CancelOptions } from './durable/cancel.ts';
import { readEvents, type EventOptions } from './durable/run-events.ts';
import { viewRun, type RunView } from './durable/run-view.ts';
import { submitRun, type Submitted, type SubmitOptions } from './durable/submit.ts';
import { runConversation, type RunOptions, type RunResult } from './run.ts';
import type { Why } from './why/story.ts';
import { why, type WhyOptions } from './why/why.ts';

export interface Dispatcher {
  readonly id: string;
  /** Drives a conversation until the model answers. Rejects only for what the caller did wrong. */
  run(options: RunOptions): Promise<RunResult>;
  /** Takes a durable run in: whatever dispatchers live, drive it to its end. */
  submit(options: SubmitOptions): Promise<Submitted>;
  /** Resolves with a durable run when it has ended; rejects with the reason of `signal`. @throws RunError */
  wait(runId: string, options: { owner: string; signal?: AbortSignal }): Promise<RunView>;
  /** A durable run as it stands. @throws RunError */
  show(runId: string, options: { owner: string }): Promise<RunView>;
  /** What happens in a durable run, from `after` to its end. */
  events(runId: string, options: EventOptions & { owner: string }): AsyncGenerator<RunEvent, void, void>;
  /** Cancels a durable run, and says how it stands: a run that has ended stays as it ended. @throws RunError */
  cancel(runId: string, options: CancelOptions): Promise<RunView>;
  /** Runs the calls of somebody else's loop: outcomes in the order of the calls. */
  execute(toolCalls: readonly ToolCall[], options: ExecuteOptions): Promise<Executed>;
  /** The tools that are live, in their highest version. */
  tools(): readonly Manifest[];
  /** What limits leave a user at this moment, for all live tools or one. Asking takes nothing. */
  limits(principal: PrincipalInput, tool?: string): Promise<LimitsReport>;
  /** Resolves when workers serve all of these. */
  waitForTools(names: readonly string[], timeoutMs?: number): Promise<void>;
  /** The life of a call by its key, or the calls of a durable run by its id; for operators, whoever owns it. */
  why(key: string, options?: WhyOptions): Promise<Why>;
  readonly conversations: Conversations;
  /** Calls that wait for a person: to look at, to approve, to deny. */
  readonly approvals: Approvals;
  /** Calls that failed for good: to look at, to retry, to drop. */
  readonly deadLetters: DeadLetters;
  /** Whether Redis answers; rejects or waits where it does not. */
  isReady(): Promise<boolean>;
  close(): Promise<void>;
}

/** Connects to Redis and the catalog. Rejects with a clear message when Redis cannot be reached or evicts. */
export async function createDispatcher(options: DispatcherOptions = {}): Promise<Dispatcher> {
  const id = `${hostname().split('.', 1)[0]}-${process.pid}-${randomBytes(2).toString('hex')}`;
  const connected = await connectDispatcher(id, options);
  const { live, approvals, deadLetters, close } = connected;
  return {
    id,
    run: (run) => runConversation(run, connected),
    submit: (run) => submitRun(run, connected),
    async wait(runId, { owner, signal }) {
      await connected.runWaits.ended(runId, owner, signal);
      return viewRun(runId, owner, connected);
    },
    show: (runId, { owner }) => viewRun(runId, owner, connected),
    events: (runId, { owner, ...from }) => readEvents(runId, owner, from, connected),
    cancel: (runId, cancel) => cancelRun(runId, cancel, connected),
    execute: (calls, execute) => executeCalls(calls, execute, connected),
    tools: () => live.latest(),
    limits: (principal, tool) => reportLimits(principal, tool, connected),
    waitForTools: (names, timeoutMs = 30_000) => live.until(names, AbortSignal.timeout(timeoutMs)),
    why: (key, asked = {}) => why(key, asked, connected),
    conversations: createConversations(connected),
    approvals,
    deadLetters,
    isReady: async () => (await connected.redis.ping()) === 'PONG',
    close,
  };
}
