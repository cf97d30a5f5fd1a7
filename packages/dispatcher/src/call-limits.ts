import { upstreamBucket } from '@callyard/shared/admission/admission-call';
import type { LimitRules } from '@callyard/shared/admission/limit-rules';
import { resolveLimits, weightOf } from '@callyard/shared/admission/resolve-limits';
import type { ResolvedLimit } from '@callyard/shared/admission/resolved-limit';
import { parseArguments, validateArguments } from '@callyard/shared/arguments';
import { cacheIdOf } from '@callyard/shared/cache';
import type { Envelope, OutcomeError } from '@callyard/shared/call';
import { CallError } from '@callyard/shared/failure';
import { missingRequirements, type Principal } from '@callyard/shared/principal';
import type { Manifest } from '@callyard/shared/tool';

export interface LimitOptions {
  /** beside what the tools declare */
  rules: LimitRules;
  /** whether calls without any limit stand in lanes, too */
  fairShare: boolean;
  maxArgumentBytes: number;
}

/** What admission decides on for a call: nothing at all where there is no limit and no fair share. */
export function admissionFields(
  manifest: Manifest,
  principal: Principal,
  argumentsText: string,
  options: LimitOptions,
): Pick<Envelope, 'limits' | 'lane'> {
  const { rules, fairShare } = options;
  const { name: tool, policy } = manifest;
  const declared = [...policy.limits, ...rules.limits];
  const args = declared.length > 0 || policy.cache ? readValid(manifest, principal, argumentsText, options) : undefined;
  const limits = args ? resolveLimits(declared, { tool, principal, args }) : [];
  const cacheId = args && policy.cache && cacheIdOf(manifest, policy.cache.scope, principal, args);
  if (limits.length === 0 && cacheId === undefined && !fairShare) return { limits };
  const upstream = upstreamBucket(tool, policy.upstreamKey, principal);
  const weight = weightOf(principal, rules.weights);
  return { limits, lane: { weight, upstream, ...(cacheId === undefined ? {} : { cacheId }) } };
}

/** A call that its worker will refuse anyway waits for nothing and takes nothing: it has no arguments here. */
function readValid(
  manifest: Manifest,
  principal: Principal,
  text: string,
  { maxArgumentBytes: maxBytes }: LimitOptions,
): object | undefined {
  if (missingRequirements(principal, manifest.policy.requires).length > 0) return undefined;
  try {
    return validateArguments(manifest, parseArguments(text, { maxBytes })) as object;
  } catch (error) {
    if (error instanceof CallError) return undefined;
    throw error;
  }
}

/** Of a call that takes more of a limit than it ever holds. */
export function tooCostly(limit: ResolvedLimit): OutcomeError {
  const isQuota = 'quota' in limit;
  const most = isQuota ? limit.quota.limit : 'rate' in limit ? limit.rate.burst : limit.concurrency;
  return {
    code: isQuota ? 'quota_exceeded' : 'rate_limited',
    message: `The call counts as ${limit.cost}; at most ${most} are allowed at once per ${limit.per.join(' and ') || 'installation'}.`,
    suggestion: 'Send it in smaller parts.',
  };
}
