import { valueAt } from '../schema-ref.ts';
import type { Limit } from './limit.ts';

/** What a call takes of a limit: an array counts its items, a number is rounded up, anything else counts as one. */
export function costOf(cost: Limit['cost'], args: unknown): number {
  if (cost === undefined) return 1;
  if (typeof cost === 'number') return cost;
  const value = valueAt(args, cost.pointer);
  const counted = Array.isArray(value) ? value.length : value;
  if (typeof counted !== 'number' || !Number.isFinite(counted)) return 1;
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(1, Math.ceil(counted)));
}
