import type { Outcome } from '@callyard/shared/call';
import { Interruption, type Attempt, type WorkerContext } from './attempt.ts';

/** Writes the outcome, unless one stands already: then that one holds. Rejects when the job is no longer ours. */
export async function settle(outcome: Outcome, attempt: Attempt, worker: WorkerContext): Promise<Outcome> {
  const { envelope, pool, token } = attempt;
  const settled = await worker.ledger.settle({
    outcome,
    text: JSON.stringify(outcome),
    ttlMs: Math.max(0, envelope.deadlineAt - worker.clock.now()) + worker.limits.ledgerTtlMs,
    replyTo: envelope.replyTo,
    job: { pool, token },
  });
  if (settled.kind === 'stale') throw new Interruption('lock-lost');
  return settled.outcome;
}
