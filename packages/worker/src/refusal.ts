import type { Envelope } from '@callyard/shared/call';
import { reasonOfBucket } from '@callyard/shared/call-progress';
import { CallError, failures } from '@callyard/shared/failure';
import type { Refusal } from '@callyard/shared/ledger';

/** A service asked to be left alone until after the deadline: no fault of the call, unlike a limit of ours. */
export class UpstreamBlocked extends CallError {
  constructor(retryAfterMs: number | undefined) {
    super(
      'rate_limited',
      failures.rate_limited.forModel + tryAgain(retryAfterMs),
      retryAfterMs === undefined ? {} : { retryAfterMs },
    );
  }
}

/** Admission's refusal in words: what is used up, what is left, when to try again. */
export function refusal({ refused, bucket, afterMs, left }: Refusal, { limits }: Envelope): CallError {
  const limit = limits.find((one) => one.bucket === bucket);
  const retryAfterMs = afterMs === undefined ? undefined : Math.max(0, afterMs);
  if (reasonOfBucket(bucket) === 'retry_after' && refused === 'rate_limited') return new UpstreamBlocked(retryAfterMs);
  const message = [whatIsUsedUp(limit, left) ?? failures[refused].forModel, tryAgain(retryAfterMs)].join('');
  return new CallError(refused, message, {
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    details: { ...(limit && { per: limit.per }), ...(left === undefined ? {} : { left }) },
  });
}

function whatIsUsedUp(limit: Envelope['limits'][number] | undefined, left: number | undefined): string | undefined {
  if (!limit || !('quota' in limit)) return undefined;
  const { limit: most, windowMs } = limit.quota;
  const whose = limit.per.length === 0 ? 'everybody' : `each ${limit.per.join(' and ')}`;
  return `The quota of ${most} in ${windowMs / 1_000} s for ${whose} has ${left} left, and this call takes ${limit.cost}.`;
}

export const tryAgain = (retryAfterMs: number | undefined): string =>
  retryAfterMs === undefined ? '' : ` Try again in ${Math.ceil(retryAfterMs / 1_000)} s.`;
