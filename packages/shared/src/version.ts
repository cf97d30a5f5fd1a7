import { gte, rsort, satisfies, validRange } from 'semver';
import type { ToolRef } from './call.ts';

/*
 * Which version of a tool runs a call: one rule for what a dispatcher offers, where it sends a call, and what a worker
 * runs. A prerelease counts as in range where the range names one of its own version (`^1.5.0-rc.1`), else only where no
 * release is in range.
 */

/** Longer ranges do not travel. */
const maxRangeLength = 128;

/** Semver takes nothing at all for any version; here it is a mistake. */
export const isRange = (range: string): boolean =>
  range.trim() !== '' && range.length <= maxRangeLength && validRange(range) !== null;

/** The highest of the versions in the range. */
export const highestIn = (versions: readonly string[], range: string): string | undefined =>
  rsort(inRange(versions, range))[0];

/**
 * The versions in the range that may run a call: none older than the one its model was shown, whose arguments it may
 * not know, unless there are only older ones.
 */
export function runnableBy(
  versions: readonly string[],
  { version, range }: Pick<ToolRef, 'version' | 'range'>,
): string[] {
  const fitting = inRange(versions, range);
  const current = fitting.filter((one) => gte(one, version));
  return current.length > 0 ? current : fitting;
}

function inRange(versions: readonly string[], range: string): string[] {
  const wanted = versions.filter((version) => satisfies(version, range));
  return wanted.length > 0
    ? wanted
    : versions.filter((version) => satisfies(version, range, { includePrerelease: true }));
}
