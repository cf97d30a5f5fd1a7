import { toPrincipal, type PrincipalInput } from '@callyard/shared/principal';
import type { CallerTrace } from '@callyard/shared/telemetry';
import type { Connected } from './connect.ts';
import { startDeadline } from './deadline.ts';
import type { RunFrame } from './envelope.ts';
import type { LoopOptions } from './loop.ts';
import type { OfferOptions } from './offer.ts';

/** What a run and a bare `execute` have in common. */
export interface CallerOptions extends OfferOptions, CallerTrace {
  principal: PrincipalInput;
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

/** The frame of the caller's calls, and its deadline running; `end` is to be called however they end. */
export function startFrame(
  runId: string,
  { principal, conversationId, timeoutMs, signal, class: jobClass = 'interactive' }: CallerOptions,
  { clock, config, control }: Connected,
  takeover: boolean,
): { frame: RunFrame; end: () => void } {
  const ms = timeoutMs ?? config.runTimeoutMs;
  // Should it not reach them, workers see at their next look into the ledger that the calls are settled.
  const stopHandlers = () => void control.cancel(runId, clock.now()).catch(() => {});
  const deadline = startDeadline(ms, signal, stopHandlers);
  const frame: RunFrame = {
    runId,
    conversationId,
    principal: toPrincipal(principal),
    class: jobClass,
    deadlineAt: clock.now() + ms,
    takeover,
    signal: deadline.signal,
  };
  return { frame, end: deadline.clear };
}
