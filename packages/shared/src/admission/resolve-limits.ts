import type { Principal } from '../principal.ts';
import { contentHash } from '../schema.ts';
import type { Limit } from './limit.ts';
import { costOf } from './limit-cost.ts';
import type { LimitRule, LimitRules } from './limit-rules.ts';
import type { ResolvedLimit } from './resolved-limit.ts';
import { isAbout } from './whose.ts';

/** A call as limits see it: `args` are its validated arguments. */
export interface LimitedCall {
  tool: string;
  principal: Principal;
  args: unknown;
}

/**
 * The limits that apply to a call, one entry for each kind of each, with their buckets and what the call costs. The same
 * limit declared twice counts once, at its higher cost.
 */
export function resolveLimits(limits: readonly (Limit | LimitRule)[], call: LimitedCall): ResolvedLimit[] {
  const resolved = new Map<string, ResolvedLimit>();
  for (const limit of limits) {
    if (!applies(limit, call)) continue;
    for (const one of kindsOf(limit, call)) {
      const twin = resolved.get(one.bucket);
      if (!twin || twin.cost < one.cost) resolved.set(one.bucket, one);
    }
  }
  return [...resolved.values()];
}

/** What never fits: the call costs more than the bucket ever holds. */
export const neverFits = (limits: readonly ResolvedLimit[]): ResolvedLimit | undefined =>
  limits.find(
    (limit) =>
      ('rate' in limit && limit.cost > limit.rate.burst) || ('quota' in limit && limit.cost > limit.quota.limit),
  );

/** The largest weight of a principal's roles; 1 where none has one. */
export function weightOf({ roles }: Principal, weights: LimitRules['weights']): number {
  const own = roles.flatMap((role) => (Object.hasOwn(weights, role) ? [weights[role] as number] : []));
  return own.length === 0 ? 1 : Math.max(...own);
}

function applies(limit: Limit | LimitRule, { tool, principal }: LimitedCall): boolean {
  const whose = 'for' in limit ? limit.for : undefined;
  return !whose || ((whose.tool ?? tool) === tool && isAbout(whose, principal));
}

function kindsOf(limit: Limit, call: LimitedCall): ResolvedLimit[] {
  const { rate, concurrency, quota, onLimit, per } = limit;
  const buckets = bucketsOf(limit, call);
  const common = { per: [...per], ...(onLimit === 'refuse' ? ({ refuse: true } as const) : {}) };
  const cost = costOf(limit.cost, call.args);
  return [
    ...(rate ? [{ bucket: buckets.rate, ...common, cost, rate: { burst: rate.limit, ...rate } }] : []),
    ...(concurrency === undefined ? [] : [{ bucket: buckets.concurrency, ...common, cost: 1, concurrency }]),
    ...(quota ? [{ bucket: buckets.quota, ...common, cost, quota: { ...quota } }] : []),
  ];
}

interface Buckets {
  rate: string;
  concurrency: string;
  quota: string;
}

/** Limits live as long as their tools, users are many: the newest 10,000 of each limit are remembered. */
const known = new WeakMap<object, Map<string, Buckets>>();
const maxKnown = 10_000;

/** A bucket is named by what it is for each of, and by its figures. */
function bucketsOf(limit: Limit, { tool, principal: { owner, userId } }: LimitedCall): Buckets {
  const who = JSON.stringify(limit.per.map((scope) => ({ user: [owner, userId], owner, tool })[scope]));
  const ofLimit = known.get(limit) ?? new Map<string, Buckets>();
  known.set(limit, ofLimit);
  const found = ofLimit.get(who);
  if (found) return found;
  if (ofLimit.size >= maxKnown) ofLimit.clear();
  const { per, rate, concurrency, quota } = limit;
  const id = (kind: string, figures: unknown) => `${kind}:${contentHash([kind, per, who, figures])}`;
  const made = {
    rate: id('r', rate && { burst: rate.limit, ...rate }),
    concurrency: id('c', concurrency),
    quota: id('q', quota),
  };
  ofLimit.set(who, made);
  return made;
}
