import { DelayedError, UnrecoverableError, WaitingError, type Job } from 'bullmq';
import type { Stop } from '@callyard/shared/admission/admission';
import type { Outcome } from '@callyard/shared/call';
import { failures } from '@callyard/shared/failure';
import type { Attempt, Verdict, WorkerContext } from './attempt.ts';
import type { CallProgress } from './call-progress.ts';

/** A job on its way back into its lane comes to a worker after this, should the one that moves it die on the way. */
const fuseMs = 5_000;

/** A call that waits for an equal one looks again after this, should that one have died without a word. */
const lookAgainMs = 15_000;

/** Tells BullMQ, and admission, what becomes of a job. */
export async function conclude(
  job: Job,
  attempt: Attempt,
  verdict: Verdict,
  worker: WorkerContext,
): Promise<Outcome['status']> {
  switch (verdict.kind) {
    case 'settled':
      if (verdict.adopted) await leave(attempt, worker, 'unstarted');
      return finish(verdict.outcome);
    case 'abandoned':
      throw new WaitingError(); // BullMQ takes it for moved elsewhere, which it is
    case 'hand-back':
      await remember(job, attempt, { reason: verdict.reason }, worker);
      await leave(attempt, worker, 'again');
      return toFront(job, attempt.token);
    case 'retry':
      await remember(job, attempt, { reason: 'retry', spends: true, delayMs: verdict.delayMs }, worker);
      await leave(attempt, worker, 'again');
      return delay(job, attempt.token, verdict.delayMs);
    case 'wait':
      await remember(job, attempt, verdict, worker);
      await leave(attempt, worker, verdict.started ? 'again' : 'unstarted');
      return wait(job, attempt, verdict, worker);
  }
}

/** A dead letter goes to BullMQ's failed set, where it can be looked at and retried. */
function finish({ status, error, settledBy }: Outcome): Outcome['status'] {
  if (error && failures[error.code].deadLetter && settledBy === 'worker') {
    const dead = new UnrecoverableError(`${error.code}: ${error.message}`);
    delete dead.stack; // BullMQ would store it
    throw dead;
  }
  return status;
}

/** Back to the head of the line, where the next free worker finds it. */
export async function toFront(job: Job, token: string): Promise<never> {
  await job.moveToWait(token);
  throw new WaitingError();
}

export async function delay(job: Job, token: string, delayMs: number): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, token);
  throw new DelayedError();
}

/** Out of this worker, then to where it is found when what it waits for comes: to the head of its lane, most often. */
async function wait(
  job: Job,
  { admission, token, pool, envelope }: Attempt,
  { delayMs, reason }: Extract<Verdict, { kind: 'wait' }>,
  worker: WorkerContext,
): Promise<never> {
  if (reason !== 'approval' && !admission) return delay(job, token, delayMs);
  await job.moveToDelayed(Date.now() + fuseMs, token);
  if (reason === 'approval') await worker.approvals.park(pool, envelope.key);
  else if (admission && reason === 'same_call') await worker.admission.follow(admission, lookAgainMs);
  else if (admission) await worker.admission.enterAgain(pool, [admission]);
  throw new DelayedError();
}

async function leave({ admission }: Attempt, worker: WorkerContext, stop: Stop): Promise<void> {
  if (admission) await worker.admission.leave(admission, stop);
}

interface Pause {
  reason: CallProgress['waiting']['reason'];
  /** whether the attempt counts */
  spends?: boolean;
  /** whether the handler ran; with a `Retry-After` it is counted, too */
  started?: boolean;
  /** until it goes on, where that is known */
  delayMs?: number;
}

async function remember(
  job: Job,
  { envelope, waits, attempt, retryAfters }: Attempt,
  { reason, spends = false, started = false, delayMs = 0 }: Pause,
  { clock, telling }: WorkerContext,
): Promise<void> {
  const progress: CallProgress = {
    waits: [...waits],
    waiting: { reason, since: clock.now() },
    attempts: attempt - (spends ? 0 : 1),
    retryAfters: retryAfters + (reason === 'retry_after' && started ? 1 : 0),
  };
  await job.updateProgress(progress);
  if (reason === 'approval') return; // told as what it is, by the step that asked
  const { key, tool } = envelope;
  const until = delayMs > 0 ? { until: clock.now() + delayMs } : {};
  telling.tell(envelope, { type: 'call.waiting', key, tool: tool.name, reason, ...until });
}
