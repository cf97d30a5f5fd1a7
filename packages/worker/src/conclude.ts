import { DelayedError, UnrecoverableError, WaitingError, type Job } from 'bullmq';
import type { Stop } from '@callyard/shared/admission/admission';
import type { FailedAttempt, Outcome } from '@callyard/shared/call';
import { callFields } from '@callyard/shared/call-log';
import { maxFailedAttempts, type CallProgress } from '@callyard/shared/call-progress';
import { failures, type CallError } from '@callyard/shared/failure';
import type { Attempt, Verdict, WorkerContext } from './attempt.ts';

/** A job on its way back into its lane comes to a worker after this, should the one that moves it die on the way. */
const fuseMs = 5_000;

/** A call that waits for an equal one looks again after this, should that one have died without a word. */
const lookAgainMs = 15_000;

/** Longer messages say nothing more to whoever asks why a call was tried again. */
const maxMessage = 300;

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
      await remember(job, attempt, { ...verdict, reason: 'retry', spends: true }, worker);
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
  /** of the limit it waits for */
  bucket?: string;
  /** in which the attempt ended */
  error?: CallError;
}

async function remember(job: Job, from: Attempt, pause: Pause, worker: WorkerContext): Promise<void> {
  const { clock, telling, log } = worker;
  const { envelope } = from;
  const { reason, delayMs = 0 } = pause;
  await job.updateProgress(progressAfter(from, pause, worker));
  if (log.isLevelEnabled('debug'))
    log.debug({ event: 'call.waiting', ...callFields(envelope), reason, delay_ms: delayMs }, 'a call waits again');
  if (reason === 'approval') return; // told as what it is, by the step that asked
  const { key, tool } = envelope;
  const until = delayMs > 0 ? { until: clock.now() + delayMs } : {};
  telling.tell(envelope, { type: 'call.waiting', key, tool: tool.name, reason, ...until });
}

function progressAfter(from: Attempt, { reason, spends, started, bucket, error }: Pause, worker: WorkerContext) {
  const { waits, attempt, retryAfters, lost, failedAttempts } = from;
  const failed = error ? [...failedAttempts, failedAttempt(error, from, worker)] : failedAttempts;
  const progress: CallProgress = {
    waits: [...waits],
    waiting: { reason, since: worker.clock.now(), ...(bucket === undefined ? {} : { bucket }) },
    attempts: attempt - (spends ? 0 : 1),
    retryAfters: retryAfters + (reason === 'retry_after' && started ? 1 : 0),
    ...(lost === 0 ? {} : { lost }),
    ...(failed.length === 0 ? {} : { failedAttempts: failed.slice(-maxFailedAttempts) }),
  };
  return progress;
}

function failedAttempt({ code, message }: CallError, { attempt }: Attempt, worker: WorkerContext): FailedAttempt {
  const { id, clock, redact } = worker;
  return { attempt, code, message: String(redact(message)).slice(0, maxMessage), worker: id, at: clock.now() };
}
