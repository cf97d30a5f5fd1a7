import type { Admission } from '@callyard/shared/admission/admission';
import { admissionCall } from '@callyard/shared/admission/admission-call';
import type { Outcome, Wait } from '@callyard/shared/call';
import { reasonOfBucket } from '@callyard/shared/call-progress';
import type { Clock } from '@callyard/shared/clock';
import { failures, type FailureCode } from '@callyard/shared/failure';
import type { Names } from '@callyard/shared/names';
import type { Redis } from '@callyard/shared/redis';
import { isHeld, isLost, readJob, waitsUntil, type StandingJob } from '@callyard/shared/standing-job';
import type { SentCall } from './sent-call.ts';

/* A job that its dispatcher takes back knows what its call has waited for, and where it ran: that goes into the outcome. */

export interface JobParts {
  redis: Redis;
  names: Names;
  admission: Admission;
  clock: Clock;
}

type Stood = Pick<Outcome, 'waits' | 'endedAt'> &
  Partial<Pick<Outcome, 'attempts' | 'lost' | 'failedAttempts' | 'worker'>>;

/** What there is to tell of a call that ends now; nothing of its job is worth more than that it ends. */
export async function howItStood(
  { envelope, pool, unservedSince, stood }: Pick<SentCall, 'envelope' | 'pool'> & Partial<SentCall>,
  code: FailureCode,
  parts: JobParts,
): Promise<Stood> {
  const endedAt = parts.clock.now();
  const servedUntil = unservedSince ?? endedAt;
  const unserved: Wait[] = servedUntil < endedAt ? [{ reason: 'no_worker', ms: endedAt - servedUntil }] : [];
  const job = pool === undefined ? stood : await jobOf(pool, envelope.key, parts);
  if (!job) return { endedAt, waits: unserved };
  const { attempts, lost, failedAttempts, worker } = job;
  const waits = await waitsOf(job, servedUntil, parts.admission).catch(() => job.waits);
  return {
    endedAt,
    attempts: attempts + (isHeld(job) && failures[code].spendsAttempt ? 1 : 0),
    lost: lost + (isLost(job) ? 1 : 0),
    waits: isHeld(job) ? waits : [...waits, ...unserved],
    ...(failedAttempts.length > 0 ? { failedAttempts } : {}),
    ...(worker === undefined ? {} : { worker }),
  };
}

/** Undefined where there is none that could be read. */
export async function jobOf(pool: string, key: string, { redis, names }: JobParts): Promise<StandingJob | undefined> {
  const job = await readJob(redis, names, pool, key).catch(() => undefined);
  return job && 'envelope' in job ? job : undefined;
}

/** In its lane a call is not told which limit it waits for, but admission knows. */
async function waitsOf(job: StandingJob, until: number, admission: Admission): Promise<Wait[]> {
  const waits = waitsUntil(job, until);
  const last = waits.at(-1);
  const isInLane = job.state.is === 'delayed' && last?.reason === 'queue';
  return isInLane ? [...waits.slice(0, -1), { ...last, ...(await heldUpBy(job, admission)) }] : waits;
}

async function heldUpBy({ envelope, pool }: StandingJob, admission: Admission): Promise<Omit<Wait, 'ms'>> {
  const call = admissionCall(envelope, pool);
  if (!call) return { reason: 'queue' };
  const { l: limits } = call.about;
  const told = await admission.ask(limits, [call.lane]);
  const at = told.limits.findIndex(({ full }) => full);
  const bucket = limits[at]?.b;
  if (bucket === undefined) return { reason: 'share' };
  const per = envelope.limits[at - 1]?.per;
  return { reason: reasonOfBucket(bucket), bucket, ...(per ? { per: per.join(',') || 'all' } : {}) };
}
