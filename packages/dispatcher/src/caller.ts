import { maxConversationId } from '@callyard/shared/call';
import { toPrincipal, type PrincipalInput } from '@callyard/shared/principal';
import { callerContext, type CallerTrace } from '@callyard/shared/telemetry';
import { carried } from '@callyard/shared/telemetry-context';
import type { Connected } from './connect.ts';
import { startDeadline } from './deadline.ts';
import type { RunFrame } from './envelope.ts';
import type { LoopOptions } from './loop.ts';
import type { OfferOptions } from './offer.ts';

/** What a run and a bare `execute` have in common. */
export interface CallerOptions extends OfferOptions, CallerTrace {
  principal: PrincipalInput;
  /** at most 256 characters */
  conversationId?: string;
  /** `batch` lets `interactive` calls go first; default `interactive` */
  class?: 'interactive' | 'batch';
  /** one deadline over everything, in milliseconds from now; default `runTimeoutMs` */
  timeoutMs?: number;
  /** stops waiting: what is under way ends as `cancelled` */
  signal?: AbortSignal;
  /** `sequential` runs one call at a time, in order; `sequential-until-failure` stops at the first that fails */
  mode?: LoopOptions['mode'];
}

/** @throws TypeError where no call of the conversation could be sent */
export function checkConversationId(id: string | undefined): void {
  if (id !== undefined && id.length > maxConversationId)
    throw new TypeError(`conversationId has ${id.length} characters; at most ${maxConversationId} are taken`);
}

/** The frame of the caller's calls, its deadline running, and its trace; `end` is to be called however they end. */
export function startFrame(
  runId: string,
  options: CallerOptions,
  { clock, config, control, log }: Connected,
  takeover: boolean,
): { frame: RunFrame; parent: ReturnType<typeof callerContext>; end: () => void } {
  const { principal, conversationId, timeoutMs, signal, class: jobClass = 'interactive' } = options;
  checkConversationId(conversationId);
  const ms = timeoutMs ?? config.runTimeoutMs;
  // Should it not reach them, workers see at their next look into the ledger that the calls are settled.
  const stopHandlers = () => void control.cancel(runId, clock.now()).catch(() => {});
  const deadline = startDeadline(ms, signal, stopHandlers);
  const parent = callerContext(options, log);
  const frame: RunFrame = {
    runId,
    conversationId,
    principal: toPrincipal(principal),
    class: jobClass,
    deadlineAt: clock.now() + ms,
    takeover,
    signal: deadline.signal,
    carrier: carried(parent).carrier,
  };
  return { frame, parent, end: deadline.clear };
}
