import { createDeadJobs, type DeadJob, type DeadJobs } from '@callyard/shared/dead-jobs';
import { readRetries } from '@callyard/shared/dead-retries';
import { createRedactor } from '@callyard/shared/redact';
import type { DeadParts } from './dead-parts.ts';
import { DeadLetterError, readFilter, type DeadLetterFilter, type DeadLetterSelection } from './dead-filter.ts';
import { describeLetter, type DeadLetter, type ShownLetter } from './dead-letter.ts';
import { retryLetters, type Retried, type RetryOptions } from './dead-retry.ts';

/** Calls that failed for good, in the pools of today and of the last 14 days. */
export interface DeadLetters {
  /** Newest first, read a page at a time. */
  list(filter?: DeadLetterFilter): AsyncGenerator<DeadLetter>;
  show(key: string): Promise<ShownLetter>;
  /** Runs each once more as a new call, one after the other while it is iterated. */
  retry(selection: DeadLetterSelection, options?: RetryOptions): AsyncGenerator<Retried>;
  /** Removes them for good, and says how many; `by` is for the audit stream. */
  drop(selection: DeadLetterSelection, options?: { by?: string }): Promise<number>;
}

export function createDeadLetters(
  given: Omit<DeadParts, 'letters'>,
  { redactKeys }: { redactKeys: readonly string[] },
): DeadLetters {
  const parts: DeadParts = { ...given, letters: createDeadJobs(given.redis, given.names) };
  const { clock, letters } = parts;
  const redact = createRedactor({ keys: redactKeys });

  const matching = async function* (filter: DeadLetterFilter): AsyncGenerator<DeadJob[]> {
    const { window, matches } = readFilter(filter, clock.now());
    for await (const page of letters.pages(window)) yield page.filter(matches);
  };
  const describe = async (jobs: readonly DeadJob[]): Promise<DeadLetter[]> => {
    const retries = await readRetries(jobs, clock.now(), parts);
    return jobs.map((job, i) => describeLetter(job, retries[i], redact));
  };
  return {
    async *list(filter = {}) {
      for await (const page of matching(filter)) yield* await describe(page);
    },
    async show(key) {
      const [job] = await findAll([key], letters);
      const [[letter], [outcome]] = await Promise.all([describe([job as DeadJob]), parts.ledger.read([key])]);
      const shown = outcome && (redact(outcome) as typeof outcome);
      return { ...(letter as DeadLetter), ...(shown ? { outcome: shown } : {}) };
    },
    retry(selection, options = {}) {
      const pages = 'keys' in selection ? latestOf(selection.keys, parts) : matching(filterOf(selection));
      return retryLetters(pages, options, parts);
    },
    async drop(selection, { by } = {}) {
      const pages = 'keys' in selection ? [await findAll(selection.keys, letters)] : matching(filterOf(selection));
      let dropped = 0;
      for await (const page of pages) dropped += await drop(page, by, parts);
      return dropped;
    },
  };
}

/** An empty filter would match all, which is to be said. */
function filterOf(selection: Exclude<DeadLetterSelection, { keys: readonly string[] }>): DeadLetterFilter {
  if ('all' in selection) return {};
  if (Object.values(selection.filter).some((value) => value !== undefined)) return selection.filter;
  throw new DeadLetterError('which dead letters? Give keys, a filter, or say that all are meant.');
}

async function findAll(keys: readonly string[], letters: DeadJobs): Promise<DeadJob[]> {
  const found = await Promise.all([...new Set(keys)].map(async (key) => (await letters.find(key)) ?? key));
  const unknown = found.filter((one) => typeof one === 'string');
  if (unknown.length === 0) return found.filter((one) => typeof one !== 'string');
  throw new DeadLetterError(
    `no dead letter ${unknown.join(', ')}: dropped, older than they are kept, or never one. ` +
      '`callyard dead list` shows those there are.',
  );
}

/** A retry that failed, too, stands for its letter. */
async function* latestOf(keys: readonly string[], parts: DeadParts): AsyncGenerator<DeadJob[]> {
  const jobs = await findAll(keys, parts.letters);
  const retries = await readRetries(jobs, parts.clock.now(), parts);
  const replaced = retries.flatMap((last) => (last?.state === 'replaced' ? last.mark.key : []));
  yield jobs.filter((_, i) => retries[i]?.state !== 'replaced');
  const given = new Set(keys);
  const later = replaced.filter((key) => !given.has(key));
  if (later.length > 0) yield* latestOf(later, parts);
}

/** Of one that is retried under its key again, nobody is to believe that it was retried before. */
async function drop(
  page: readonly DeadJob[],
  by: string | undefined,
  { redis, names, queues, audit }: DeadParts,
): Promise<number> {
  const removed = await Promise.all(page.map(({ pool, key }) => queues.remove(pool, key)));
  if (page.length > 0) await redis.del(page.map(({ key }) => names.retried(key)));
  const dropped = page.filter((_, i) => removed[i]);
  for (const { key, envelope, code } of dropped) {
    const { principal, runId, tool } = envelope;
    const about = { principal, by, job_id: key, run_id: runId, tool: tool.name, code };
    audit.write({ event: 'dead.dropped', decision: 'done', ...about }, 'a dead letter was dropped');
  }
  return dropped.length;
}
