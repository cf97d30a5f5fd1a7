import { parseEnvelope, type Envelope, type Wait } from './call.ts';
import { failures, isFailureCode, type FailureCode } from './failure.ts';
import type { Names } from './names.ts';
import { answersOf, type Redis } from './redis.ts';

/** How long the job of a call is kept that ended as a dead letter. */
export const deadLetterTtlMs = 14 * 24 * 3_600_000;

/** Jobs one command asks for. */
const pageSize = 100;

/** Where a dead letter is: the failed set of a pool, whether somebody serves that pool or not. */
export interface DeadPlace {
  key: string;
  pool: string;
  failedAt: number;
}

/** The job of a call that ended as a dead letter, as BullMQ keeps it. */
export interface DeadJob extends DeadPlace {
  envelope: Envelope;
  code: FailureCode;
  message: string;
  /** when the last pick-up began */
  startedAt: number;
  attempts: number;
  lost: number;
  /** those before the last pick-up */
  waits: Wait[];
  worker: string | undefined;
  /** the trace context that travelled with it */
  carrier: string | undefined;
}

/** Which letters, by when they failed. */
export interface DeadWindow {
  after?: number;
  before?: number;
}

/**
 * Reads the failed sets of all pools that ever lived. It opens no BullMQ queue for that: opening one writes, and these
 * pools may be about to be forgotten.
 */
export interface DeadJobs {
  /** Newest first, a page at a time. What fails meanwhile is left out, so a reader that causes failures comes to an end. */
  pages(window?: DeadWindow): AsyncGenerator<DeadJob[]>;
  find(key: string): Promise<DeadJob | undefined>;
  /** The call that a job in whatever state carries, and its trace context. */
  call(pool: string, key: string): Promise<Pick<DeadJob, 'envelope' | 'carrier'> | undefined>;
}

export function createDeadJobs(redis: Redis, names: Names): DeadJobs {
  const read = async (places: readonly DeadPlace[]): Promise<DeadJob[]> => {
    const pipeline = redis.pipeline();
    for (const { pool, key } of places) pipeline.hmget(names.job(pool, key), ...fields);
    const answers = await answersOf(pipeline);
    return places.flatMap((place, i) => toDeadJob(place, answers[i] as (string | null)[]) ?? []);
  };
  const poolNames = () => redis.zrange(names.pools, '0', '-1');
  return {
    async *pages(window = {}) {
      const lists = (await poolNames()).map((pool) => failedIn(redis, names, pool, window));
      let page: DeadPlace[] = [];
      for await (const place of newestFirst(lists)) {
        page.push(place);
        if (page.length < pageSize) continue;
        yield await read(page);
        page = [];
      }
      if (page.length > 0) yield await read(page);
    },
    async find(key) {
      const pools = await poolNames();
      const pipeline = redis.pipeline();
      for (const pool of pools) pipeline.zscore(names.failed(pool), key);
      const scores = await answersOf(pipeline);
      const at = scores.findIndex((score) => typeof score === 'string');
      const pool = pools[at];
      if (pool === undefined) return undefined;
      const [found] = await read([{ key, pool, failedAt: Number(scores[at]) }]);
      return found;
    },
    async call(pool, key) {
      const [data, opts] = await redis.hmget(names.job(pool, key), 'data', 'opts');
      const envelope = envelopeIn(data);
      return envelope && { envelope, carrier: carrierIn(opts) };
    },
  };
}

/** Goes on behind the last one seen, not at an offset: letters are removed meanwhile, many may have failed in one ms. */
async function* failedIn(
  redis: Redis,
  names: Names,
  pool: string,
  { after, before }: DeadWindow,
): AsyncGenerator<DeadPlace> {
  const oldest = String(after ?? '-inf');
  let last: DeadPlace | undefined;
  for (let offset = 0; ;) {
    const newest = String(last?.failedAt ?? before ?? '+inf');
    const limits = ['LIMIT', offset, pageSize] as const;
    const raw = await redis.zrange(names.failed(pool), newest, oldest, 'BYSCORE', 'REV', ...limits, 'WITHSCORES');
    const places = toPlaces(pool, raw);
    const fresh = places.filter((place) => !last || isBehind(place, last));
    yield* fresh;
    if (places.length < pageSize) return;
    offset = fresh.length > 0 ? 0 : offset + pageSize;
    last = fresh.at(-1) ?? last;
  }
}

const isBehind = (place: DeadPlace, last: DeadPlace): boolean =>
  place.failedAt < last.failedAt || (place.failedAt === last.failedAt && place.key < last.key);

const toPlaces = (pool: string, raw: readonly string[]): DeadPlace[] =>
  raw.flatMap((key, i) => (i % 2 === 0 ? [{ key, pool, failedAt: Number(raw[i + 1]) }] : []));

async function* newestFirst(lists: readonly AsyncGenerator<DeadPlace>[]): AsyncGenerator<DeadPlace> {
  const next = async (list: AsyncGenerator<DeadPlace>) => ({ list, head: await list.next() });
  let open = await Promise.all(lists.map(next));
  for (;;) {
    open = open.filter(({ head }) => !head.done);
    const [first, ...others] = open;
    if (!first) return;
    const newest = others.reduce(
      (best, one) => (one.head.value.failedAt > best.head.value.failedAt ? one : best),
      first,
    );
    yield newest.head.value;
    newest.head = await newest.list.next();
  }
}

/** Of the hash in which BullMQ keeps a job: `stc` counts stalls, `pb` is the worker, `tm` in `opts` the trace context. */
const fields = ['data', 'opts', 'failedReason', 'processedOn', 'progress', 'stc', 'pb'] as const;

function toDeadJob(place: DeadPlace, values: readonly (string | null)[]): DeadJob | undefined {
  const [data, opts, reason, processedOn, progress, stalls, worker] = values;
  const envelope = envelopeIn(data);
  const [, code, message = ''] = /^(\w+): (.*)$/s.exec(reason ?? '') ?? [];
  if (!envelope || !isFailureCode(code)) return undefined;
  const { attempts = 0, waits = [] } = parseObject(progress) as { attempts?: number; waits?: Wait[] };
  return {
    ...place,
    envelope,
    code,
    message,
    startedAt: Number(processedOn ?? place.failedAt),
    attempts: attempts + (failures[code].spendsAttempt ? 1 : 0),
    lost: Number(stalls ?? 0),
    waits,
    worker: worker ?? undefined,
    carrier: carrierIn(opts),
  };
}

const carrierIn = (opts: string | null | undefined): string | undefined => (parseObject(opts) as { tm?: string }).tm;

function envelopeIn(data: string | null | undefined): Envelope | undefined {
  const parsed = parseEnvelope(parseObject(data));
  return parsed.kind === 'ok' ? parsed.envelope : undefined;
}

/** Progress of a job is a number until there is one. */
function parseObject(text: string | null | undefined): object {
  const value: unknown = JSON.parse(text || '{}');
  return typeof value === 'object' && value !== null ? value : {};
}
