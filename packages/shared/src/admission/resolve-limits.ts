// Placeholder of the lead until helper D's version replaces this file.
import { hash } from 'node:crypto';
import type { Principal } from '../principal.ts';
import type { ResolvedLimit } from './resolved-limit.ts';
import type { LimitRule } from './limit-rules.ts';

export function resolveLimits(
  limits: readonly LimitRule[],
  { tool, principal }: { tool: string; principal: Principal; args: unknown },
): ResolvedLimit[] {
  return limits.flatMap(({ per, rate, concurrency, quota, onLimit }) => {
    const who = per.map((one) =>
      one === 'tool' ? tool : one === 'owner' ? principal.owner : [principal.owner, principal.userId],
    );
    const id = (kind: string, figures: unknown) =>
      `${kind}:${hash('sha256', JSON.stringify([kind, per, who, figures])).slice(0, 16)}`;
    const common = { per: [...per], cost: 1, ...(onLimit === 'refuse' ? { refuse: true as const } : {}) };
    return [
      ...(rate ? [{ bucket: id('r', rate), ...common, rate: { burst: rate.limit, ...rate } }] : []),
      ...(concurrency ? [{ bucket: id('c', concurrency), ...common, concurrency }] : []),
      ...(quota ? [{ bucket: id('q', quota), ...common, quota }] : []),
    ];
  });
}
export const weightOf = ({ roles }: Principal, weights: Readonly<Record<string, number>>): number =>
  Math.max(...roles.map((role) => weights[role] ?? 1), ...(roles.length === 0 ? [1] : []));
export const neverFits = (_limits: readonly ResolvedLimit[]): ResolvedLimit | undefined => undefined;
