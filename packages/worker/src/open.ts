import { CallError } from '@callyard/shared/failure';
import type { Tool } from '@callyard/shared/tool';
import { AlreadySettled, Interruption, type Attempt, type WorkerContext } from './attempt.ts';

/** Asks whether the call may start now. Costs no command where there is nothing to decide. */
export async function open(attempt: Attempt, { manifest }: Tool, worker: WorkerContext): Promise<void> {
  const { envelope, pool, token, firstPickUp } = attempt;
  const leftMs = envelope.deadlineAt - worker.clock.now();
  if (leftMs <= 0) throw new CallError('deadline_exceeded');
  const atMostOnce = manifest.policy.effects === 'at-most-once';
  if (firstPickUp && !envelope.takeover && !atMostOnce) return;

  const startMarkMs = atMostOnce ? leftMs + worker.limits.ledgerTtlMs : 0;
  const opened = await worker.ledger.open(envelope.key, { pool, token }, startMarkMs);
  switch (opened.kind) {
    case 'go':
      return;
    case 'stale':
      throw new Interruption('lock-lost');
    case 'started':
      throw new CallError('outcome_unknown');
    case 'settled':
      throw new AlreadySettled(opened.outcome);
  }
}
