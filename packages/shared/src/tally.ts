import type { Logger } from 'pino';
import type { Outcome, Status, Wait } from './call.ts';
import type { Clock } from './clock.ts';
import type { FailureCode } from './failure.ts';
import { doneWithin } from './in-time.ts';
import type { Names } from './names.ts';
import type { Redis } from './redis.ts';

/*
 * What the fleet did in the last hour, for whoever asks without a Prometheus: each process counts in memory and adds what
 * it has counted to the hash of the minute, every few seconds. A process that is killed loses what it had not yet added.
 *
 * Fields of a hash: `<kind>:<detail>:<tool>`, and `since`: when it began to be counted.
 */

/** What somebody may look back, and a little for what comes late. */
export const tallyKeptMinutes = 60;
const keptMs = (tallyKeptMinutes + 5) * 60_000;

/** How long a process that ends waits for a Redis that does not answer: what it has counted is not worth more. */
const maxStopMs = 1_000;

/** A tool that this process does not know: names that come from models are without bound. */
const otherTool = '_OTHER';

/** Durations are counted in buckets, each wider than the one before by this: a quantile is off by a twentieth at most. */
const bucketGrowth = 1.1;
const bucketOf = (ms: number): number => Math.ceil(Math.log(Math.max(1, ms)) / Math.log(bucketGrowth));
const middleOf = (bucket: number): number => bucketGrowth ** (bucket - 0.5);

export interface Tally {
  /** Counts a call that has ended, by whoever wrote its outcome. */
  add(outcome: Outcome): void;
  /** Adds what is left. */
  stop(): Promise<void>;
}

export interface TallyOptions {
  redis: Redis;
  names: Names;
  clock: Clock;
  everyMs: number;
  /** tools that are counted by their names */
  isKnown: (tool: string) => boolean;
  log: Logger;
}

export function startTally({ redis, names, clock, everyMs, isKnown, log }: TallyOptions): Tally {
  let counted = new Map<string, number>();
  let since = clock.now();
  const onError = (error: unknown): void =>
    log.warn({ event: 'tally.unwritten', err: error }, 'what was counted could not be written');

  /** What Redis refuses is counted on: there are as many fields as tools and ways to end, however long that lasts. */
  const flush = async (): Promise<void> => {
    if (counted.size === 0) return;
    const [fields, from, now] = [[...counted], since, clock.now()];
    counted = new Map();
    since = now;
    const key = names.tally(minuteOf(now));
    const pipeline = redis.pipeline().hsetnx(key, 'since', from);
    for (const [field, count] of fields) pipeline.hincrby(key, field, count);
    const answers = (await pipeline.pexpire(key, keptMs).exec()) ?? [];
    const refusal = answers.find(([error]) => error !== null);
    if (!refusal) return;
    since = from;
    for (const [i, [field, count]] of fields.entries()) if (answers[i + 1]?.[0]) increase(counted, field, count);
    throw refusal[0];
  };
  let flushing: Promise<void> | undefined;
  const flushOnce = (): Promise<void> =>
    (flushing ??= flush()
      .catch(onError)
      .finally(() => (flushing = undefined)));
  const timer = setInterval(() => void flushOnce(), everyMs);
  timer.unref();

  return {
    add(outcome) {
      const tool = isKnown(outcome.tool.name) ? outcome.tool.name : otherTool;
      for (const [field, count] of fieldsOf(outcome, tool, clock.now())) {
        increase(counted, field, count);
      }
    },
    async stop() {
      clearInterval(timer);
      if (redis.status !== 'ready') return; // it would be waited for
      const written = Promise.resolve(flushing).then(flushOnce);
      await doneWithin(maxStopMs, written);
    },
  };
}

const minuteOf = (ms: number): number => Math.floor(ms / 60_000);

function fieldsOf(outcome: Outcome, tool: string, now: number): [string, number][] {
  const { status, error, attempts, cached, durationMs, enqueuedAt, waits } = outcome;
  const fields: [string, number][] = [
    [`outcome:${status}:${tool}`, 1],
    ...durationFields('total', now - enqueuedAt, tool),
  ];
  if (error) fields.push([`error:${error.code}:${tool}`, 1]);
  if (attempts > 1) fields.push([`retries::${tool}`, attempts - 1]);
  if (cached) fields.push([`cached::${tool}`, 1]);
  else if (attempts > 0 && durationMs !== undefined) fields.push(...durationFields('run', durationMs, tool));
  for (const { reason, ms } of waits) fields.push([`waits:${reason}:`, 1], [`waited:${reason}:`, Math.round(ms)]);
  return fields;
}

function durationFields(of: 'run' | 'total', given: number, tool: string): [string, number][] {
  const ms = Math.max(0, Math.round(given));
  return [
    [`${of}_ms::${tool}`, ms],
    [`${of}:${bucketOf(ms)}:${tool}`, 1],
  ];
}

export interface Durations {
  averageMs: number;
  p95Ms: number;
}

export interface ToolTally {
  tool: string;
  calls: number;
  perSecond: number;
  outcomes: Partial<Record<Status, number>>;
  errors: Partial<Record<FailureCode, number>>;
  retries: number;
  /** answered from the cache */
  cached: number;
  /** of the handler, its last attempt; absent where none ran */
  run?: Durations;
  /** from enqueue to outcome */
  total?: Durations;
}

export interface TallyReport {
  /** the time it is about, ms: what was asked for and what has passed of this minute, and no more than there is */
  spanMs: number;
  /** most calls first */
  tools: ToolTally[];
  /** what calls that ended had waited for */
  waits: { reason: Wait['reason']; waits: number; ms: number }[];
}

export interface TallyReader {
  /** Of the last minutes, and of the one that has begun: that alone would be about no time at all. */
  read(minutes: number): Promise<TallyReport>;
}

type Hash = Readonly<Record<string, string>>;

export function createTallyReader(redis: Redis, names: Names, clock: Pick<Clock, 'now'>): TallyReader {
  /** Minutes that are over do not change any more, a while after their end. */
  const past = new Map<number, Hash>();

  return {
    async read(minutes) {
      const now = clock.now();
      const current = minuteOf(now);
      const oldest = current - minutes;
      const wanted = Array.from({ length: minutes + 1 }, (_, i) => oldest + i);
      for (const minute of past.keys()) if (minute < oldest) past.delete(minute);
      const missing = wanted.filter((minute) => !past.has(minute));
      const read = await Promise.all(missing.map((minute) => redis.hgetall(names.tally(minute))));
      const fresh = new Map(missing.map((minute, i) => [minute, read[i] ?? {}]));
      for (const [minute, hash] of fresh) if (minute < current - 2) past.set(minute, hash);
      const hashes = wanted.map((minute) => past.get(minute) ?? fresh.get(minute) ?? {});
      const first = Number(hashes.find((hash) => hash['since'] !== undefined)?.['since'] ?? now);
      return report(hashes, now - Math.max(first, oldest * 60_000));
    },
  };
}

interface Sums {
  counts: Map<string, number>;
  run: Map<number, number>;
  total: Map<number, number>;
}

function report(hashes: readonly Hash[], spanMs: number): TallyReport {
  const byTool = new Map<string, Sums>();
  for (const [field, count] of hashes.flatMap((hash) => Object.entries(hash))) {
    const [, kind, detail = '', tool = ''] = /^(\w+):(\w*):(.*)$/.exec(field) ?? [];
    if (kind === undefined) continue;
    const sums = byTool.get(tool) ?? { counts: new Map(), run: new Map(), total: new Map() };
    byTool.set(tool, sums);
    if (kind === 'run' || kind === 'total') increase(sums[kind], Number(detail), Number(count));
    else increase(sums.counts, `${kind}:${detail}`, Number(count));
  }
  const waits = byTool.get('')?.counts ?? new Map<string, number>();
  byTool.delete('');
  return {
    spanMs,
    tools: [...byTool].map(([tool, sums]) => toolTally(tool, sums, spanMs)).toSorted((a, b) => b.calls - a.calls),
    waits: Object.entries(detailsOf(waits, 'waits'))
      .map(([reason, count]) => ({
        reason: reason as Wait['reason'],
        waits: count,
        ms: waits.get(`waited:${reason}`) ?? 0,
      }))
      .toSorted((a, b) => b.ms - a.ms),
  };
}

function toolTally(tool: string, { counts, run, total }: Sums, spanMs: number): ToolTally {
  const outcomes = detailsOf(counts, 'outcome') as ToolTally['outcomes'];
  const calls = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  return {
    tool,
    calls,
    perSecond: spanMs > 0 ? (calls * 1_000) / spanMs : 0,
    outcomes,
    errors: detailsOf(counts, 'error'),
    retries: counts.get('retries:') ?? 0,
    cached: counts.get('cached:') ?? 0,
    ...(run.size > 0 && { run: durations(run, counts.get('run_ms:') ?? 0) }),
    ...(total.size > 0 && { total: durations(total, counts.get('total_ms:') ?? 0) }),
  };
}

/** Of `error:timeout` → 3: `timeout` → 3. */
function detailsOf(counts: ReadonlyMap<string, number>, kind: string): Record<string, number> {
  const own = [...counts].filter(([field]) => field.startsWith(`${kind}:`));
  return Object.fromEntries(own.map(([field, count]) => [field.slice(kind.length + 1), count]));
}

function durations(buckets: ReadonlyMap<number, number>, sumMs: number): Durations {
  const sorted = [...buckets].toSorted(([a], [b]) => a - b);
  const count = sorted.reduce((sum, [, one]) => sum + one, 0);
  let below = 0;
  const [bucket] = sorted.find(([, one]) => (below += one) >= 0.95 * count) ?? [0];
  return { averageMs: sumMs / count, p95Ms: middleOf(bucket) };
}

function increase<K>(counts: Map<K, number>, key: K, by: number): void {
  counts.set(key, (counts.get(key) ?? 0) + by);
}
