import { InvalidArgumentError } from 'commander';
import type { DeadLetterFilter, DeadLetterSelection } from '@callyard/dispatcher';
import { UsageError } from './usage-error.ts';

const unitsMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof unitsMs;

/** `90s`, `2h` or `1.5d` in milliseconds. */
export function duration(text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text) ?? [];
  if (count === undefined) throw new InvalidArgumentError('a length of time is needed, such as 90s, 30m, 2h or 7d.');
  return Number(count) * unitsMs[unit as Unit];
}

/** `10/s`, `300/m` or `1000/h`. */
export function rate(text: string): { limit: number; periodMs: number } {
  const [, count, unit] = /^(\d+(?:\.\d+)?)\/(s|m|h)$/.exec(text) ?? [];
  if (Number(count ?? 0) > 0) return { limit: Number(count), periodMs: unitsMs[unit as Unit] };
  throw new InvalidArgumentError('a rate is needed, such as 10/s, 300/m or 1000/h.');
}

/** As commander gives them. */
export interface FilterOptions {
  tool?: string;
  user?: string;
  owner?: string;
  code?: DeadLetterFilter['code'];
  olderThan?: number;
  newerThan?: number;
}

export function filterFrom({ tool, user, owner, code, olderThan, newerThan }: FilterOptions): DeadLetterFilter {
  const given = { tool, userId: user, owner, code, olderThanMs: olderThan, newerThanMs: newerThan };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** What `retry` and `drop` are to act on: never on everything by accident. */
export function selectionFrom(
  keys: readonly string[],
  options: FilterOptions & { all?: boolean },
): DeadLetterSelection {
  const filter = filterFrom(options);
  const ways = [keys.length > 0, Object.keys(filter).length > 0, options.all === true].filter(Boolean).length;
  if (ways === 0) throw new UsageError('which dead letters? Give keys or a filter such as --tool, or --all.');
  if (ways > 1) throw new UsageError('give keys, or a filter, or --all; not several of them.');
  if (keys.length > 0) return { keys };
  return options.all ? { all: true } : { filter };
}
