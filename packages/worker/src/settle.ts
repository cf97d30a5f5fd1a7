import { setTimeout as delay } from 'node:timers/promises';
import type { Outcome } from '@callyard/shared/call';
import { deadLetterTtlMs } from '@callyard/shared/dead-jobs';
import { callFields } from '@callyard/shared/call-log';
import { failures } from '@callyard/shared/failure';
import type { Settlement } from '@callyard/shared/ledger';
import type { LogEvent } from '@callyard/shared/log-names';
import { finishedEvent } from '@callyard/shared/runs/run-event';
import type { Attempt, WorkerContext } from './attempt.ts';

/** Pause between two tries to write an outcome that Redis would not take. */
const againMs = 1_000;

/**
 * Sends the outcome to the ledger and returns when it is on its way, not when it is answered: BullMQ's own script for
 * the job follows on the same connection, so Redis runs both in order and a call costs one round trip, not two.
 * The same lock fences both: a worker that lost the job writes neither. An outcome that stands already is adopted by
 * whoever reads the ledger; one that is ours is told to `onWritten`.
 */
export async function settle(
  outcome: Outcome,
  attempt: Attempt,
  worker: WorkerContext,
  onWritten: () => void,
): Promise<void> {
  const { envelope, pool, token } = attempt;
  // A retried dead letter is to show for as long as it is kept how its retry ended.
  const keptMs = envelope.replayOf === undefined ? worker.limits.ledgerTtlMs : deadLetterTtlMs;
  const settlement: Settlement = {
    outcome,
    text: JSON.stringify(outcome),
    ttlMs: Math.max(0, envelope.deadlineAt - worker.clock.now()) + keptMs,
    replyTo: envelope.replyTo,
    job: { pool, token },
    admitted: attempt.admission && { call: attempt.admission, started: started(outcome) },
    ...(envelope.durable ? { run: { id: envelope.runId }, event: finishedEvent(outcome) } : {}),
  };
  const { sent, done } = worker.ledger.settle(settlement);
  done.then(
    (settled) => {
      if (settled.kind === 'written') return onWritten();
      worker.log.info(
        { event: `call.${settled.kind}` satisfies LogEvent, ...callFields(envelope) },
        'somebody else has the call, or settled it',
      );
    },
    (error: unknown) => settleAgain(settlement, error, attempt, worker, onWritten),
  );
  await sent;
}

/** A call that was refused or found in the cache took a place in line, but no start. */
function started({ status, cached = false, degraded }: Outcome): boolean {
  const end = degraded ? failures[degraded.why].status : status;
  return end !== 'refused' && !cached;
}

/** Redis refused the write (it is full, say), but may have finished the job: then only this process has the outcome. */
async function settleAgain(
  { job: _fence, ...settlement }: Settlement,
  error: unknown,
  { envelope }: Attempt,
  worker: WorkerContext,
  onWritten: () => void,
): Promise<void> {
  const line = { event: 'call.not_settled', err: error, ...callFields(envelope) };
  worker.log.error(line, 'an outcome could not be written; it is tried again');
  const until = worker.clock.now() + settlement.ttlMs;
  while (worker.clock.now() < until) {
    await delay(againMs, undefined, { ref: false });
    const settled = await worker.ledger.settle(settlement).done.catch(() => undefined);
    if (settled?.kind === 'written') onWritten();
    if (settled) return;
  }
}
