import type { Outcome, Status } from './call.ts';
import type { DeadJob } from './dead-jobs.ts';
import type { FailureCode } from './failure.ts';
import type { Ledger } from './ledger.ts';
import type { Names } from './names.ts';
import { answersOf, type Redis } from './redis.ts';

/** The mark of a letter that was retried: the new call, and where its job went. */
export interface RetryMark {
  key: string;
  pool: string;
  deadlineAt: number;
}

/**
 * What became of the latest retry of a letter: how it ended, or `under_way`; `replaced` where it is a dead letter of its
 * own, which stands for both; `overdue` without a word past its deadline; `dropped` where nothing of it is left.
 */
export type RetryState = Status | 'under_way' | 'replaced' | 'overdue' | 'dropped';

export interface LastRetry {
  mark: RetryMark;
  /** the mark as it stands in Redis */
  text: string;
  state: RetryState;
  code: FailureCode | undefined;
}

/** The latest retry of each letter, in their order; undefined for one that never was. */
export async function readRetries(
  letters: readonly Pick<DeadJob, 'key'>[],
  now: number,
  { redis, names, ledger }: { redis: Redis; names: Names; ledger: Ledger },
): Promise<(LastRetry | undefined)[]> {
  if (letters.length === 0) return [];
  const texts = await redis.mget(letters.map(({ key }) => names.retried(key)));
  const retries = texts.flatMap((text) => (text === null ? [] : { text, mark: JSON.parse(text) as RetryMark }));
  // Jobs first: a worker writes the outcome before its job goes, so what has no job by now has its outcome.
  const pipeline = redis.pipeline();
  for (const { mark } of retries) {
    pipeline.zscore(names.failed(mark.pool), mark.key).exists(names.job(mark.pool, mark.key));
  }
  const jobs = await answersOf(pipeline);
  const outcomes = await ledger.read(retries.map(({ mark }) => mark.key));
  const known = new Map(
    retries.map(({ text, mark }, i): [string, LastRetry] => {
      const job = { isDead: jobs[2 * i] !== null, isThere: jobs[2 * i + 1] === 1 };
      const state = stateOf(mark, job, outcomes[i], now);
      return [text, { text, mark, state, code: outcomes[i]?.error?.code }];
    }),
  );
  return texts.map((text) => (text === null ? undefined : known.get(text)));
}

function stateOf(
  { deadlineAt }: RetryMark,
  job: { isDead: boolean; isThere: boolean },
  outcome: Outcome | undefined,
  now: number,
): RetryState {
  if (job.isDead) return 'replaced';
  if (outcome) return outcome.status;
  if (!job.isThere) return 'dropped';
  return deadlineAt > now ? 'under_way' : 'overdue';
}
