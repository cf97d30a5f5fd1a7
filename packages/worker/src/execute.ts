import { CallError } from '@callyard/shared/failure';
import { inToolSpan } from '@callyard/shared/telemetry';
import type { Tool, ToolContext } from '@callyard/shared/tool';
import { Interruption, type Attempt, type WorkerContext } from './attempt.ts';
import { createFetch } from './fetch.ts';
import { runIsolated } from './isolate.ts';

/** Runs the handler once, bounded by the tool's timeout and the deadline. Rejects with what ended the attempt. */
export async function execute(attempt: Attempt, tool: Tool, args: unknown, worker: WorkerContext): Promise<unknown> {
  const { envelope } = attempt;
  return inToolSpan({ envelope, tool: tool.manifest.name, args }, () =>
    bounded(attempt, tool, worker, () => start(attempt, tool, args, worker)),
  );
}

/** Starts the handler here or in a child process; a handler that throws at once rejects like any other. */
async function start(attempt: Attempt, tool: Tool, args: unknown, worker: WorkerContext): Promise<unknown> {
  const ctx = contextOf(attempt, tool, worker);
  return tool.manifest.policy.isolate ? runIsolated(tool, args, ctx) : tool.handler(args as never, ctx);
}

async function bounded(
  attempt: Attempt,
  { manifest }: Tool,
  worker: WorkerContext,
  run: () => Promise<unknown>,
): Promise<unknown> {
  const { abort, envelope } = attempt;
  const leftMs = envelope.deadlineAt - worker.clock.now();
  const { timeoutMs } = manifest.policy;
  const late = () =>
    leftMs < timeoutMs
      ? new CallError('deadline_exceeded')
      : new CallError('timeout', `The tool took longer than ${timeoutMs} ms.`);
  const timer = setTimeout(() => abort.abort(late()), Math.min(timeoutMs, leftMs));
  const ended = run();
  try {
    return await endOrAbort(ended, abort.signal, worker.limits.stuckAfterMs);
  } catch (error) {
    if (error instanceof Stuck) reportStuck(attempt, manifest.name, ended, worker);
    // Whatever a handler makes of its abort, the reason of the abort is what ended the attempt.
    throw abort.signal.aborted ? reasonOf(abort.signal, manifest.policy.effects) : error;
  } finally {
    clearTimeout(timer);
  }
}

/** The handler went on after its abort. */
class Stuck extends Error {}

/** Settles with the handler, or rejects: at once when it ends after an abort, a grace later when it does not. */
async function endOrAbort(ended: Promise<unknown>, signal: AbortSignal, stuckAfterMs: number): Promise<unknown> {
  let graceTimer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const stuck = new Promise<never>((_, reject) => {
    onAbort = () => {
      graceTimer = setTimeout(() => reject(new Stuck()), stuckAfterMs);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    const value = await Promise.race([ended, stuck]);
    signal.throwIfAborted();
    return value;
  } finally {
    clearTimeout(graceTimer);
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

function reportStuck({ envelope }: Attempt, tool: string, ended: Promise<unknown>, worker: WorkerContext): void {
  worker.stuck.add(tool, ended);
  worker.log.error(
    { event: 'tool.stuck', job_id: envelope.key, tool, stuck: worker.stuck.count },
    'a handler goes on after its abort; its slot is freed, its result will be ignored',
  );
}

/** A call that must not run twice cannot be handed back once it has started. */
function reasonOf(signal: AbortSignal, effects: string): unknown {
  const reason: unknown = signal.reason;
  const handBack = reason instanceof Interruption && reason.kind === 'shutdown';
  return handBack && effects === 'at-most-once' ? new CallError('outcome_unknown') : reason;
}

function contextOf({ envelope, attempt, abort }: Attempt, { manifest }: Tool, worker: WorkerContext): ToolContext {
  const { signal } = abort;
  return {
    signal,
    get fetch() {
      return createFetch({ hosts: manifest.policy.hosts, signal });
    },
    get log() {
      return worker.log.child({ job_id: envelope.key, tool: manifest.name, attempt });
    },
    principal: envelope.principal,
    idempotencyKey: envelope.idempotencyKey,
    attempt,
    conversationId: envelope.conversationId,
  };
}
