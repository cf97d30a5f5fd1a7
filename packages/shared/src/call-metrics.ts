import type { Envelope, Outcome, Wait } from './call.ts';
import { failures } from './failure.ts';
import { count, measure } from './metrics.ts';

/** Stands for all tools that nobody here knows: names that models or strangers think of are endless. */
export const otherTool = '_OTHER';

export interface Ended {
  outcome: Outcome;
  /** its tool is one that is served, not a name that somebody thought of */
  isKnown: boolean;
  /** absent where there is no telling, as the job was not a call */
  class?: Envelope['class'];
  /** in Redis time */
  now: number;
}

/** Counts a call that has ended. To be called by whoever wrote its outcome, once. */
export function countEnded({ outcome, isKnown, class: jobClass, now }: Ended): void {
  const { status, error, degraded, enqueuedAt, settledBy } = outcome;
  const tool = isKnown ? outcome.tool.name : otherTool;
  const code = error?.code ?? degraded?.why;
  const ended = { 'gen_ai.tool.name': tool, outcome: status };
  count('callyard.calls', { ...ended, 'error.type': code, class: jobClass });
  measure('callyard.call.duration', secondsSince(enqueuedAt, now), ended);
  if (error && settledBy === 'worker' && failures[error.code].deadLetter)
    count('callyard.dead_letters', { 'gen_ai.tool.name': tool, 'error.type': code });
}

/** Measures the waits of a call that have just ended. */
export function measureWaits(waits: readonly Wait[], { class: jobClass }: Pick<Envelope, 'class'>): void {
  for (const { reason, ms, per } of waits)
    measure('callyard.call.wait.duration', ms / 1_000, { reason, per, class: jobClass });
}

/** Clocks of two machines may differ by a little; what is measured is never negative. */
export const secondsSince = (from: number, now: number): number => Math.max(0, now - from) / 1_000;
