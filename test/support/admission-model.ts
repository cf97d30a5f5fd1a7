import type { ResolvedLimit } from '@callyard/shared/admission/resolved-limit';

/** A call as the model sees it. */
export interface ModelCall {
  key: string;
  lane: string;
  upstream: string;
  limits: readonly ResolvedLimit[];
  deadlineAt: number;
}

export type Verdict =
  | { kind: 'go' }
  | { kind: 'wait'; bucket: string; at?: number }
  | { kind: 'refuse'; bucket: string; code: 'rate_limited' | 'quota_exceeded'; at?: number };

type Met = { bucket: string; at?: number; code?: 'rate_limited' | 'quota_exceeded' };
type RateLimit = Extract<ResolvedLimit, { rate: unknown }>;

/** Redis counts time in microseconds, and JSON keeps 14 digits of an interval. */
export const toleranceMs = 0.01;

/** In steps that a double of today's time can hold. */
const intervalOf = ({ rate }: RateLimit) => Math.ceil((rate.periodMs / rate.limit) * 4_096) / 4_096;
const quotaKey = (bucket: string, windowMs: number, now: number) => `${bucket}:${Math.floor(now / windowMs)}`;

interface Held {
  at: number;
  /** of each rate: where its clock stood after the charge, and what had been given back until then */
  rates: { limit: RateLimit; tat: number; back: number }[];
  quotas: { key: string; cost: number }[];
}

/**
 * What limits mean, said plainly: one process, no Redis, no lanes. `now` is given, and a call either may start, must wait,
 * or is to be refused.
 */
export function createModel() {
  const rates = new Map<string, { tat: number; since: number; back: number }>();
  const running = new Map<string, Set<string>>();
  const used = new Map<string, number>();
  const blocks = new Map<string, { until: number; tries?: string }>();
  const held = new Map<string, Held>();

  const rateOf = (bucket: string) => {
    const known = rates.get(bucket) ?? { tat: 0, since: 0, back: 0 };
    rates.set(bucket, known);
    return known;
  };
  const runningOf = (bucket: string) => {
    const known = running.get(bucket) ?? new Set<string>();
    running.set(bucket, known);
    return known;
  };

  const rateAt = (limit: RateLimit, now: number, before = 0): number =>
    Math.max(rateOf(limit.bucket).tat, now) + (before + limit.cost - limit.rate.burst) * intervalOf(limit);

  function metBy(limit: ResolvedLimit, now: number, slack: number): Met | undefined {
    const { bucket, cost } = limit;
    if ('rate' in limit) {
      const at = rateAt(limit, now);
      if (cost > limit.rate.burst) return { bucket, at, code: 'rate_limited' };
      return at > now + slack ? { bucket, at } : undefined;
    }
    if ('quota' in limit) {
      const { limit: most, windowMs } = limit.quota;
      const free = most - (used.get(quotaKey(bucket, windowMs, now)) ?? 0);
      const at = (Math.floor(now / windowMs) + 1) * windowMs;
      return cost <= free ? undefined : { bucket, at, code: 'quota_exceeded' };
    }
    return runningOf(bucket).size >= limit.concurrency ? { bucket } : undefined;
  }

  function blockMet(bucket: string, now: number): Met | undefined {
    const block = blocks.get(bucket);
    if (block && block.until > now) return { bucket, at: block.until };
    return block?.tries === undefined ? undefined : { bucket };
  }

  /** Of several waits the one whose end nobody knows, else the latest. */
  function verdict({ upstream, limits, deadlineAt }: ModelCall, now: number, slack = toleranceMs): Verdict {
    let found = blockMet(upstream, now);
    for (const limit of limits) {
      const met = metBy(limit, now, slack);
      if (!met) continue;
      const code = met.code ?? (limit.refuse ? 'rate_limited' : undefined);
      if (code) return { kind: 'refuse', ...met, code };
      const isLater = found?.at !== undefined && (met.at === undefined || met.at > found.at);
      if (!found || isLater) found = met;
    }
    if (!found) return { kind: 'go' };
    const { bucket, at } = found;
    if (at === undefined) return { kind: 'wait', bucket };
    return at > deadlineAt ? { kind: 'refuse', bucket, at, code: 'rate_limited' } : { kind: 'wait', bucket, at };
  }

  function chargeRate(limit: RateLimit, now: number) {
    const known = rateOf(limit.bucket);
    if (known.tat <= now) Object.assign(known, { since: now, back: 0 });
    known.tat = Math.max(known.tat, now) + limit.cost * intervalOf(limit);
    return { limit, tat: known.tat, back: known.back };
  }

  /** No more than what later starts did not live on: a bucket that would have been idle meanwhile keeps no credit. */
  function refundRate({ limit, tat, back }: Held['rates'][number], at: number, now: number): void {
    const known = rateOf(limit.bucket);
    if (known.since > at) return;
    const stood = tat - (known.back - back);
    const all = limit.cost * intervalOf(limit);
    const amount = known.tat <= stood ? all : Math.min(all, Math.max(0, stood - now));
    known.tat -= amount;
    known.back += amount;
  }

  return {
    verdict,
    /** No rate comes to a call in time that stands behind so many of its lane. */
    isHopeless: ({ limits, deadlineAt }: ModelCall, before: number, now: number): boolean =>
      limits.some((limit) => 'rate' in limit && rateAt(limit, now, before) > deadlineAt),
    start({ key, upstream, limits }: ModelCall, now: number): void {
      const block = blocks.get(upstream);
      if (block) block.tries = key;
      const taken: Held = { at: now, rates: [], quotas: [] };
      for (const limit of limits) {
        if ('rate' in limit) taken.rates.push(chargeRate(limit, now));
        else if ('concurrency' in limit) runningOf(limit.bucket).add(key);
        else {
          const id = quotaKey(limit.bucket, limit.quota.windowMs, now);
          used.set(id, (used.get(id) ?? 0) + limit.cost);
          taken.quotas.push({ key: id, cost: limit.cost });
        }
      }
      held.set(key, taken);
    },
    settle({ key, upstream, limits }: ModelCall, started: boolean, now: number): void {
      const taken = held.get(key);
      if (!taken) return;
      held.delete(key);
      for (const { bucket } of limits) running.get(bucket)?.delete(key);
      const block = blocks.get(upstream);
      if (block?.tries === key) {
        if (started && block.until <= now) blocks.delete(upstream);
        else delete block.tries;
      }
      if (started) return;
      for (const charge of taken.rates) refundRate(charge, taken.at, now);
      for (const { key: id, cost } of taken.quotas) used.set(id, (used.get(id) ?? 0) - cost);
    },
    block(bucket: string, ms: number, now: number): void {
      const block = blocks.get(bucket) ?? { until: 0 };
      blocks.set(bucket, block);
      block.until = Math.max(block.until, Math.ceil(now + ms));
    },
    running: (): number => held.size,
    /** One call is out to see whether a service is back: its end decides, not a time. */
    isTried: (bucket: string): boolean => blocks.get(bucket)?.tries !== undefined,
  };
}
