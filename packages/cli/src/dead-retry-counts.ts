import type { DeadLetters, DeadLetterSelection, RetryOptions, SkipReason } from '@callyard/dispatcher';
import type { Outcome, Status } from '@callyard/shared/call';

export interface RetrySettings extends RetryOptions {
  /** commander's name for the absence of `--no-wait` */
  wait: boolean;
}

/** How many letters were retried, how those ended that were waited for, and how many were left alone. */
export interface RetryCounts extends Record<Status, number> {
  retried: number;
  dryRun: boolean;
  skipped: Partial<Record<SkipReason, number>>;
}

/** Retries and counts, keeping no more in memory than the calls that are under way. */
export async function retryAndCount(
  letters: DeadLetters,
  selection: DeadLetterSelection,
  { wait, rate, force = false, dryRun = false, limit, by }: RetrySettings,
  report: (line: string) => void,
): Promise<RetryCounts> {
  const counts: RetryCounts = {
    retried: 0,
    dryRun,
    completed: 0,
    failed: 0,
    refused: 0,
    cancelled: 0,
    skipped: {},
  };
  const underWay = new Set<Promise<void>>();
  const count = ({ key, status, error }: Outcome) => {
    counts[status] += 1;
    if (error) report(`${key}: ${status}, ${error.code}: ${error.message}`);
  };
  const options = {
    force,
    dryRun,
    ...(rate ? { rate } : {}),
    ...(limit === undefined ? {} : { limit }),
    ...(by === undefined ? {} : { by }),
  };
  for await (const one of letters.retry(selection, options)) {
    if ('skipped' in one) {
      counts.skipped[one.skipped] = (counts.skipped[one.skipped] ?? 0) + 1;
      report(`${one.key}: left alone: ${one.message}`);
      continue;
    }
    counts.retried += 1;
    if (dryRun) report(`${one.key}: would be retried as ${one.as}`);
    if (dryRun || !wait) continue;
    const ended = one
      .outcome()
      .then(count)
      .finally(() => underWay.delete(ended));
    underWay.add(ended);
  }
  await Promise.all(underWay);
  return counts;
}
