import { hash } from 'node:crypto';
import type { Envelope } from '../call.ts';
import type { Principal } from '../principal.ts';
import type { ResolvedLimit } from './resolved-limit.ts';

/** A limit as scripts read it: see lib/buckets.lua. */
interface ScriptLimit {
  /** bucket; its first letter is its kind */
  b: string;
  /** the burst of a rate, the cap, the quota */
  n?: number;
  /** of a rate: ms for each */
  i?: number;
  /** of a quota: its window in ms */
  w?: number;
  /** refuses instead of waiting */
  f?: 1;
}

/** What all calls of a lane have in common: see lib/lanes.lua. */
export interface LaneAbout {
  /** pool */
  p: string;
  /** class */
  c: 'i' | 'b';
  /** user */
  u: string;
  /** weight */
  w: number;
  /** limits */
  l: ScriptLimit[];
}

/** A call as admission sees it. */
export interface AdmissionCall {
  key: string;
  deadlineAt: number;
  lane: string;
  about: LaneAbout;
  /** of each limit, separated by commas; empty where all are 1 */
  costs: string;
  /** where an equal call would find its result, if it may be kept */
  cacheId: string;
  takeover: boolean;
}

/** How a call stands in its lane. */
export const laneText = ({ key, deadlineAt, costs, cacheId }: AdmissionCall): string =>
  `${key} ${deadlineAt} ${costs}${cacheId && ` ${cacheId}`}`;

/** The bucket that a `Retry-After` blocks: the tool's, or the user's within it where each user brings a key. */
export function upstreamBucket(tool: string, upstreamKey: 'tool' | 'user', { owner, userId }: Principal): string {
  return `x:${shortHash(upstreamKey === 'user' ? [tool, owner, userId] : [tool])}`;
}

/** What decides in which lane a call stands. */
export interface LaneOf {
  pool: string;
  class: Envelope['class'];
  principal: Principal;
  weight: number;
  upstream: string;
  limits: readonly ResolvedLimit[];
}

/** Calls of one user stand in one lane of a pool and class as long as they are under the same limits. */
export function laneOf({ pool, class: ofClass, principal, weight, upstream, limits }: LaneOf): {
  lane: string;
  about: LaneAbout;
} {
  const about: LaneAbout = {
    p: pool,
    c: ofClass === 'batch' ? 'b' : 'i',
    u: shortHash([principal.owner, principal.userId]),
    w: weight,
    l: [{ b: upstream }, ...limits.map(toScript)],
  };
  return { lane: [pool, about.c, about.u, shortHash([about.w, about.l])].join(':'), about };
}

/** Undefined for a call that admission has nothing to say to: no limits, and no fair share. */
export function admissionCall(
  envelope: Envelope,
  pool: string,
  limits: readonly ResolvedLimit[] = envelope.limits,
): AdmissionCall | undefined {
  if (!envelope.lane) return undefined;
  const { key, deadlineAt, principal, lane: sent, takeover = false } = envelope;
  const { weight, upstream, cacheId = '' } = sent;
  const costs = limits.every(({ cost }) => cost === 1) ? '' : [1, ...limits.map(({ cost }) => cost)].join(',');
  const { lane, about } = laneOf({ pool, class: envelope.class, principal, weight, upstream, limits });
  return { key, deadlineAt, lane, about, costs, cacheId, takeover };
}

function toScript(limit: ResolvedLimit): ScriptLimit {
  const refuses = limit.refuse ? ({ f: 1 } as const) : {};
  if ('rate' in limit) {
    const { limit: count, periodMs, burst } = limit.rate;
    return { b: limit.bucket, i: roundedUp(periodMs / count), n: burst, ...refuses };
  }
  if ('quota' in limit) return { b: limit.bucket, n: limit.quota.limit, w: limit.quota.windowMs };
  return { b: limit.bucket, n: limit.concurrency, ...refuses };
}

/**
 * A time of today in ms is a double of whole 2^-12: in such steps sums are exact, and rounded up they never let through
 * more than is allowed.
 */
const roundedUp = (ms: number): number => Math.ceil(ms * 4_096) / 4_096;

/** Users and limits are far fewer than calls: a hash takes 2 µs, a look into a map 0.2. */
const known = new Map<string, string>();
const maxKnown = 10_000;

function shortHash(parts: readonly unknown[]): string {
  const text = JSON.stringify(parts);
  const found = known.get(text);
  if (found !== undefined) return found;
  if (known.size >= maxKnown) known.clear();
  const made = hash('sha256', text).slice(0, 16);
  known.set(text, made);
  return made;
}
