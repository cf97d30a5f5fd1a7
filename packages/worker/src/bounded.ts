import type { Envelope } from '@callyard/shared/call';
import { callFields } from '@callyard/shared/call-log';
import { CallError } from '@callyard/shared/failure';
import { traceHeaders } from '@callyard/shared/telemetry';
import type { Tool, ToolContext } from '@callyard/shared/tool';
import { Interruption, type Attempt, type WorkerContext } from './attempt.ts';
import { conversationOf } from './conversation-of.ts';
import { createFetch } from './fetch.ts';

const maxProgressBytes = 4_096;

/**
 * Runs a handler, bounded by the timeout of its tool and the deadline of the call. Rejects with what ended it; a
 * handler that throws at once rejects like any other.
 */
export async function bounded(
  attempt: Attempt,
  { manifest }: Tool,
  worker: WorkerContext,
  run: (ctx: ToolContext) => unknown,
): Promise<unknown> {
  attempt.checkLock();
  if (attempt.abort.signal.aborted) throw reasonOf(attempt.abort.signal, manifest.policy.effects);
  const leftMs = attempt.envelope.deadlineAt - worker.clock.now();
  const { timeoutMs, effects } = manifest.policy;
  const late = () =>
    leftMs < timeoutMs
      ? new CallError('deadline_exceeded')
      : new CallError('timeout', `The tool took longer than ${timeoutMs} ms.`);
  // A controller of its own: what follows a timeout, such as a fallback, can still be interrupted. `AbortSignal.any`
  // would take as long as a small tool.
  const abort = new AbortController();
  const { signal } = abort;
  const timer = setTimeout(() => abort.abort(late()), Math.min(timeoutMs, leftMs));
  const release = pass(attempt.abort.signal, abort);
  const ended = start(() => run(contextOf(attempt, manifest, signal, worker)));
  try {
    return await endOrAbort(ended, signal, worker.limits.stuckAfterMs);
  } catch (error) {
    if (error instanceof Stuck) reportStuck(attempt, manifest.name, ended, worker);
    // Whatever a handler makes of its abort, the reason of the abort is what ended the attempt.
    throw signal.aborted ? reasonOf(signal, effects) : error;
  } finally {
    clearTimeout(timer);
    release();
  }
}

/** Aborts the one with the other, until it is released. */
function pass(from: AbortSignal, to: AbortController): () => void {
  const onAbort = () => to.abort(from.reason);
  if (from.aborted) onAbort();
  from.addEventListener('abort', onAbort, { once: true });
  return () => from.removeEventListener('abort', onAbort);
}

const start = async (run: () => unknown): Promise<unknown> => run();

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
    { event: 'tool.stuck', ...callFields(envelope), stuck: worker.stuck.count },
    'a handler goes on after its abort; its slot is freed, its result will be ignored',
  );
}

/** A call that must not run twice cannot be handed back once it has started. */
function reasonOf(signal: AbortSignal, effects: string): unknown {
  const reason: unknown = signal.reason;
  const handBack = reason instanceof Interruption && reason.kind === 'shutdown';
  return handBack && effects === 'at-most-once' ? new CallError('outcome_unknown') : reason;
}

function contextOf(
  { envelope, attempt }: Attempt,
  manifest: Tool['manifest'],
  signal: AbortSignal,
  worker: WorkerContext,
): ToolContext {
  return {
    signal,
    get fetch() {
      return createFetch({ hosts: manifest.policy.hosts, signal, trace: traceHeaders() });
    },
    get log() {
      return worker.log.child({ event: 'tool.log', ...callFields(envelope), attempt });
    },
    principal: envelope.principal,
    idempotencyKey: envelope.idempotencyKey,
    attempt,
    conversationId: envelope.conversationId,
    progress: (said) => tellProgress(said, envelope, manifest.name, worker),
    get conversation() {
      return conversationOf(envelope, signal, worker);
    },
  };
}

/** A handler may say anything: what is no small JSON is left out, as its call is not to end for it. */
function tellProgress(said: unknown, envelope: Envelope, tool: string, { redact, telling, log }: WorkerContext): void {
  try {
    const progress = redact(said);
    if (Buffer.byteLength(JSON.stringify(progress) ?? '') > maxProgressBytes) throw new RangeError('larger than 4 KiB');
    telling.tell(envelope, { type: 'call.progress', key: envelope.key, tool, progress });
  } catch (error) {
    log.warn(
      { event: 'call.progress_untold', err: error, ...callFields(envelope) },
      'the progress of a call cannot be told',
    );
  }
}
