import type { Told } from '@callyard/shared/admission/admission';
import { admissionCall, laneText } from '@callyard/shared/admission/admission-call';
import type { ResolvedLimit } from '@callyard/shared/admission/resolved-limit';
import type { StandingJob } from '@callyard/shared/standing-job';
import type { Connected } from '../connect.ts';
import type { CallNow, LaneWait } from './story.ts';
import type { Found } from './found.ts';

/** Where a call is that has not ended. */
export async function nowOf(found: Found, to: Connected): Promise<CallNow> {
  const { job } = found;
  if (!job) return proposed(found, to);
  const since = job.waiting?.since ?? job.envelope.enqueuedAt;
  switch (job.state.is) {
    case 'active':
      return active(job, found);
    case 'waiting':
      return { since, is: 'queued', before: job.state.before };
    case 'delayed':
      return (await inLane(job, since, to)) ?? delayed(job, job.state.dueAt, since, found);
    case 'dead':
    case 'moving':
      return { since, is: 'moving' };
  }
}

/** In a durable run, and not enqueued: nobody serves it, its turn in a sequence has not come, or it is on its way. */
function proposed({ run, proposed: call }: Found, { live }: Connected): CallNow {
  const since = Number(run?.startedAt ?? run?.createdAt ?? 0);
  return { since, is: 'proposed', isServed: live.poolsOf(call?.function.name ?? '').length > 0 };
}

function active({ state, worker, pickedUpAt, envelope }: StandingJob, { pools }: Found): CallNow {
  const isAlive = pools.some(({ workers }) => workers.some(({ id }) => id === worker));
  const lock = state.is === 'active' && state.lockMs !== undefined ? { lockMs: state.lockMs } : {};
  const by = worker === undefined ? {} : { worker };
  return { since: pickedUpAt ?? envelope.enqueuedAt, is: 'active', ...by, isAlive, ...lock };
}

function delayed({ waiting }: StandingJob, until: number, since: number, { approval }: Found): CallNow {
  if (approval && !approval.decision && waiting?.reason === 'approval') {
    return { since, is: 'approval', until: approval.dueAt };
  }
  return { since, is: 'delayed', reason: waiting?.reason ?? 'limit', until };
}

/** Undefined for a call that stands in no lane, or in one that only its worker knows, as that tightens its limits. */
async function inLane({ envelope, pool }: StandingJob, since: number, to: Connected): Promise<CallNow | undefined> {
  const call = admissionCall(envelope, pool);
  if (!call) return undefined;
  const place = await to.redis.lpos(to.names.lane(call.lane), laneText(call));
  if (place === null) return undefined;
  const told = await to.admission.ask(call.about.l, [call.lane]);
  return { since, is: 'lane', place: place + 1, of: told.waiting, waitsFor: waitsFor(told, envelope.limits) };
}

/** The first limit of a lane is the block of the service behind the tool; where none is met, a slot is missing. */
function waitsFor({ limits }: Told, resolved: readonly ResolvedLimit[]): LaneWait[] {
  const met = limits.flatMap(({ full, at }, i): LaneWait[] => {
    if (!full) return [];
    const limit = resolved[i - 1];
    return [
      {
        ...(limit ? aboutLimit(limit) : { reason: 'retry_after' }),
        ...(at === undefined ? {} : { at: Math.ceil(at) }),
      },
    ];
  });
  return met.length > 0 ? met : [{ reason: 'share' }];
}

function aboutLimit(limit: ResolvedLimit): LaneWait {
  const { per } = limit;
  if ('rate' in limit) {
    return { reason: 'rate', per, limit: `${limit.rate.limit} in ${limit.rate.periodMs / 1_000} s` };
  }
  if ('quota' in limit) {
    return { reason: 'quota', per, limit: `${limit.quota.limit} in ${limit.quota.windowMs / 1_000} s` };
  }
  return { reason: 'concurrency', per, limit: `${limit.concurrency} at once` };
}
