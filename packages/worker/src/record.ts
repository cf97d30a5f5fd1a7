import type { Outcome } from '@callyard/shared/call';
import { logOutcome } from '@callyard/shared/call-log';
import { countEnded } from '@callyard/shared/call-metrics';
import type { Attempt, WorkerContext } from './attempt.ts';

/** Tells of an outcome that this worker has written: counted, in the log, and in the audit stream where it was refused. */
export function record(
  outcome: Outcome,
  { envelope }: Attempt,
  { tools, clock, tally, log, audit, redact, limits }: WorkerContext,
): void {
  const isKnown = tools.resolve(envelope.tool) !== undefined;
  countEnded({ outcome, isKnown, class: envelope.class, now: clock.now() });
  tally.add(outcome);
  logOutcome(outcome, envelope, { log, audit, redact, logContent: limits.logContent });
}
