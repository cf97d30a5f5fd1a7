import { setTimeout as delay } from 'node:timers/promises';
import { neverFits } from '@callyard/shared/admission/resolve-limits';
import type { Envelope, Outcome } from '@callyard/shared/call';
import { deadLetterTtlMs, type DeadJob } from '@callyard/shared/dead-jobs';
import { readRetries, type LastRetry, type RetryMark } from '@callyard/shared/dead-retries';
import { createCallQueues, type CallQueues } from '@callyard/shared/queue';
import { connectOnce, RedisError } from '@callyard/shared/redis';
import { startSendSpan } from '@callyard/shared/telemetry';
import type { Manifest } from '@callyard/shared/tool';
import { admissionFields, tooCostly } from './call-limits.ts';
import { DeadLetterError } from './dead-filter.ts';
import type { DeadParts } from './dead-parts.ts';
import { outcomeOfRetry, settleOverdue, type SentRetry } from './dead-outcome.ts';

export interface RetryOptions {
  /** how fast letters are retried; default 10 a second */
  rate?: { limit: number; periodMs: number };
  /** also those of `at-most-once` tools, which may have taken effect */
  force?: boolean;
  /** only says what would be retried */
  dryRun?: boolean;
  /** ends when so many are retried */
  limit?: number;
  /** who has them retried, for the audit stream */
  by?: string;
}

/** What became of a letter that was to be retried. */
export type Retried = { key: string } & (
  | {
      /** the key of the new call */
      as: string;
      /** its outcome; rejects where nothing was retried, in a dry run */
      outcome(): Promise<Outcome>;
    }
  | { skipped: SkipReason; message: string }
);

export type SkipReason = 'completed' | 'under_way' | 'replaced' | 'at_most_once' | 'tool_unavailable' | 'never_fits';

/** Modest: a service that has just come back is not to fall over again. */
const defaultRate = { limit: 10, periodMs: 1_000 };

/** Retries letters one after the other. Whoever stops in the middle, or is killed, leaves the rest as it was. */
export async function* retryLetters(
  pages: AsyncIterable<readonly DeadJob[]>,
  { rate = defaultRate, limit = Number.POSITIVE_INFINITY, ...options }: RetryOptions,
  parts: DeadParts,
): AsyncGenerator<Retried> {
  const pace = startPace(rate);
  const connection = connectOnce(parts.redis);
  const queues = createCallQueues(connection, parts.names);
  let retried = 0;
  try {
    await connection.connect();
    for await (const page of pages) {
      const retries = await readRetries(page, parts.clock.now(), parts);
      for (const [i, job] of page.entries()) {
        const plan = await planRetry(job, retries[i], options, parts);
        if (!('skipped' in plan) && !options.dryRun) await pace();
        const end = 'skipped' in plan || options.dryRun ? plan : await send(plan, options.by, queues, parts);
        yield toRetried(end, parts);
        if (!('skipped' in end) && ++retried >= limit) return;
      }
    }
  } catch (error) {
    if (connection.status !== 'end') throw error;
    throw new RedisError('Redis was lost. What was retried is marked: the same again goes on where this stopped.');
  } finally {
    await queues.close();
    connection.disconnect();
  }
}

interface Planned {
  job: DeadJob;
  last: LastRetry | undefined;
  manifest: Manifest;
  as: string;
}

type Skipped = Extract<Retried, { skipped: SkipReason }>;
type Sent = Planned & SentRetry;

function toRetried(end: Skipped | Planned | Sent, parts: DeadParts): Retried {
  if ('skipped' in end) return end;
  const { as, job } = end;
  let outcome: Promise<Outcome> | undefined;
  const ask = () =>
    'pool' in end ? outcomeOfRetry(end, parts) : Promise.reject(new DeadLetterError(`${as} was not sent: a dry run`));
  return { key: job.key, as, outcome: () => (outcome ??= ask()) };
}

async function planRetry(
  job: DeadJob,
  last: LastRetry | undefined,
  { force = false }: RetryOptions,
  parts: DeadParts,
): Promise<Skipped | Planned> {
  const { key } = job;
  const { name, range } = job.envelope.tool;
  const state = last?.state === 'overdue' ? await settleOverdue(last.mark, parts) : last?.state;
  if (last && (state === 'completed' || state === 'under_way' || state === 'replaced')) {
    return { key, skipped: state, message: `it was retried as ${last.mark.key}, which ${stateTexts[state]}` };
  }
  const manifest = parts.live.find(name, range);
  if (!manifest) {
    return {
      key,
      skipped: 'tool_unavailable',
      message: `no worker serves ${name} in a version that satisfies ${range}`,
    };
  }
  if (manifest.policy.effects === 'at-most-once' && !force) {
    return { key, skipped: 'at_most_once', message: `${name} may have taken effect; force retries it all the same` };
  }
  return { job, last, manifest, as: nextKey(job, last) };
}

const stateTexts = { completed: 'completed', under_way: 'is under way', replaced: 'failed and is a letter of its own' };

function nextKey({ key, envelope }: DeadJob, last: LastRetry | undefined): string {
  const numberOf = (retry = '') => Number(/~(\d+)$/.exec(retry)?.[1] ?? 0);
  return `${envelope.replayOf ?? key}~${1 + Math.max(numberOf(key), numberOf(last?.mark.key))}`;
}

/** The new call and its mark are written together, or not at all where another operator was first. */
async function send(
  plan: Planned,
  by: string | undefined,
  queues: CallQueues,
  parts: DeadParts,
): Promise<Skipped | Sent> {
  const { job, last, as } = plan;
  const { key } = job;
  const envelope = envelopeAgain(plan, parts);
  const beyond = neverFits(envelope.limits);
  if (beyond) return { key, skipped: 'never_fits', message: tooCostly(beyond).message };
  const pool = parts.live.route(envelope.tool);
  if (pool === undefined) return { key, skipped: 'tool_unavailable', message: 'its last worker has just gone' };
  const next: RetryMark = { key: as, pool, deadlineAt: envelope.deadlineAt };
  const span = startSendSpan(envelope, { repeats: job.carrier });
  try {
    const marked = await queues.addMarked(
      pool,
      { envelope, carrier: span.carrier },
      { key: parts.names.retried(key), was: last?.text ?? null, next: JSON.stringify(next), ttlMs: deadLetterTtlMs },
    );
    if (marked) {
      auditRetry(envelope, key, by, parts);
      return { ...plan, envelope, pool, carrier: span.carrier };
    }
    return { key, skipped: 'under_way', message: 'somebody else has just retried it' };
  } finally {
    span.end(parts.names.queue(pool));
  }
}

/** Once it is on its way: an operator who is killed just before that leaves a retry that nobody has told of. */
function auditRetry(
  { key: as, runId, principal, tool }: Envelope,
  key: string,
  by: string | undefined,
  { audit }: DeadParts,
): void {
  const about = { principal, by, job_id: key, run_id: runId, tool: tool.name, more: { as } };
  audit.write({ event: 'dead.retried', decision: 'done', ...about }, 'a dead letter is retried');
}

/** For the same user and with the same idempotency key, on the version that is live and under the limits of today. */
function envelopeAgain({ job, manifest, as }: Planned, { clock, dispatcher, limits }: DeadParts): Envelope {
  const { lane: _lane, unservedMs: _unserved, ...old } = job.envelope;
  const { version, schemaHash } = manifest;
  const enqueuedAt = clock.now();
  return {
    ...old,
    key: as,
    tool: { ...old.tool, version, schemaHash },
    class: 'batch',
    ...admissionFields(manifest, old.principal, old.call.arguments, limits),
    replayOf: old.replayOf ?? old.key,
    takeover: true,
    deadlineAt: enqueuedAt + (old.deadlineAt - old.enqueuedAt),
    replyTo: dispatcher,
    enqueuedAt,
  };
}

/** Timers are no finer than this. */
const tickMs = 1;

/** Resolves when the next may go: evenly, so that a service meets no burst. */
function startPace({ limit, periodMs }: { limit: number; periodMs: number }): () => Promise<void> {
  const everyMs = periodMs / limit;
  if (!(everyMs > 0 && Number.isFinite(everyMs))) throw new DeadLetterError(`rate: ${limit} in ${periodMs} ms is none`);
  let next = 0;
  return async () => {
    const now = performance.now();
    const at = Math.max(now, next);
    next = at + everyMs;
    if (at - now >= tickMs) await delay(at - now);
  };
}
