import { DelayedError, UnrecoverableError, WaitingError, type Job } from 'bullmq';
import { admissionCall } from '@callyard/shared/admission/admission-call';
import { failureOutcome, parseEnvelope, type Envelope, type Outcome } from '@callyard/shared/call';
import { callFields } from '@callyard/shared/call-log';
import { countEnded } from '@callyard/shared/call-metrics';
import { resume } from '@callyard/shared/call-progress';
import { inProcessSpan, withActiveTrace, type PickUp, type PickUpEnd } from '@callyard/shared/telemetry';
import { traceIdIn } from '@callyard/shared/telemetry-context';
import type { Attempt, Verdict, WorkerContext } from './attempt.ts';
import type { HeldJobs } from './held-jobs.ts';
import { runCall } from './run-call.ts';
import { conclude, delay, toFront } from './conclude.ts';
import { measuredPickUp } from './measured.ts';

/** A job that needs a newer worker stays away for a second, then twice as long each time, for an hour in all. */
const tooNewDelayMs = 1_000;
const maxHandBacks = 12;

/** The BullMQ job of a call: parse, run, and tell BullMQ what becomes of it. */
export async function processJob(
  job: Job,
  token: string,
  pool: string,
  held: HeldJobs,
  worker: WorkerContext,
): Promise<Outcome['status']> {
  const key = job.id ?? '';
  if (held.closed) return toFront(job, token); // BullMQ's blocking fetch outlives its pause
  const parsed = parseEnvelope(job.data);
  if (parsed.kind === 'too-new') return handBackTooNew(job, token, pool, parsed.v, worker);
  if (parsed.kind === 'broken') return refuseBroken(job, token, pool, parsed.why, worker);

  const abort = new AbortController();
  held.hold(key, parsed.envelope, abort, job.processedOn ?? Date.now());
  try {
    const checkLock = () => held.check(key);
    const attempt = attemptOf(job, parsed.envelope, { token, pool, abort, checkLock }, worker);
    const concluding = await inProcessSpan(pickUpOf(job, attempt, worker), async (describe) => {
      const verdict = await measuredPickUp(job.queueName, attempt, worker, () => runCall(attempt, worker));
      describe(endOf(verdict));
      return withActiveTrace(() => conclude(job, attempt, verdict, worker));
    });
    return await concluding();
  } catch (error) {
    throw isForBull(error) ? error : leaveBehind(error, job, parsed.envelope, worker);
  } finally {
    held.release(key);
  }
}

/** What tells BullMQ where a job is now. */
const isForBull = (error: unknown): boolean =>
  error instanceof WaitingError || error instanceof DelayedError || error instanceof UnrecoverableError;

/** BullMQ would finish a job whose processor throws, and the call would have no outcome. Left alone, it is found again. */
function leaveBehind(error: unknown, job: Job, envelope: Envelope, { log }: WorkerContext): WaitingError {
  const trace_id = traceIdIn(job.opts.telemetry?.metadata);
  const line = { event: 'call.not_concluded', err: error, ...callFields(envelope), ...(trace_id && { trace_id }) };
  log.error(line, 'a job could not be concluded; it starts again when its lock ends');
  return new WaitingError();
}

function attemptOf(
  job: Job,
  envelope: Envelope,
  own: Pick<Attempt, 'token' | 'pool' | 'abort' | 'checkLock'>,
  { clock, served }: WorkerContext,
): Attempt {
  const { stalledCounter: lost, progress } = job;
  return {
    ...own,
    envelope,
    lost,
    firstPickUp: job.attemptsStarted <= 1,
    admission: admissionCall(envelope, own.pool),
    ...resume({ now: clock.now(), progress, lost, servedSince: served.since }, envelope),
  };
}

const pickUpOf = (job: Job, { envelope, attempt, lost, ended, admission }: Attempt, worker: WorkerContext): PickUp => ({
  envelope,
  queue: job.queueName,
  worker: worker.id,
  attempt,
  lost,
  ended,
  lane: admission?.lane,
  ageMs: worker.clock.now() - envelope.enqueuedAt,
  metadata: job.opts.telemetry?.metadata,
});

/** What the span of a pick-up says of its end. */
function endOf(verdict: Verdict): PickUpEnd {
  if (verdict.kind === 'settled') {
    const { status, error, degraded } = verdict.outcome;
    return { outcome: status, error, degraded };
  }
  return { outcome: verdict.kind, error: 'error' in verdict ? verdict.error : undefined };
}

/** It is left to a newer worker; where none comes, nobody waits for it any more. */
async function handBackTooNew(
  job: Job,
  token: string,
  pool: string,
  v: number,
  worker: WorkerContext,
): Promise<Outcome['status']> {
  const handBacks = job.attemptsStarted - 1;
  if (handBacks < maxHandBacks) return delay(job, token, tooNewDelayMs * 2 ** handBacks);
  return refuseBroken(job, token, pool, `its envelope has version ${v}`, worker);
}

/** Not written by any dispatcher of ours: answered as well as its id allows, so that whoever waits for it is told. */
async function refuseBroken(
  job: Job,
  token: string,
  pool: string,
  why: string,
  worker: WorkerContext,
): Promise<Outcome['status']> {
  worker.log.error({ event: 'job.broken', job_id: job.id, why }, 'a job is not a call');
  const message = `The job is not a call any worker understands (${why}).`;
  const outcome: Outcome = {
    v: 1,
    key: job.id ?? '',
    call: { id: '', name: job.name },
    tool: { name: job.name, version: '' },
    ...failureOutcome({ code: 'tool_unavailable', message }),
    attempts: 0,
    lost: job.stalledCounter,
    settledBy: 'worker',
    enqueuedAt: job.timestamp,
    waits: [],
    worker: worker.id,
  };
  const { ledgerTtlMs: ttlMs } = worker.limits;
  const settlement = { outcome, text: JSON.stringify(outcome), ttlMs, replyTo: '', job: { pool, token } };
  const settled = await worker.ledger.settle(settlement).done;
  if (settled.kind === 'written') countEnded({ outcome, isKnown: false, now: worker.clock.now() });
  return outcome.status;
}
