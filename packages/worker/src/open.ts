import { admissionCall, upstreamBucket, type AdmissionCall } from '@callyard/shared/admission/admission-call';
import { resolveLimits } from '@callyard/shared/admission/resolve-limits';
import { cacheIdOf } from '@callyard/shared/cache';
import type { Wait } from '@callyard/shared/call';
import { reasonOfBucket } from '@callyard/shared/call-progress';
import { CallError } from '@callyard/shared/failure';
import type { Opened } from '@callyard/shared/ledger';
import { count } from '@callyard/shared/metrics';
import type { Tool } from '@callyard/shared/tool';
import { AlreadySettled, Interruption, MustWait, type Attempt, type WorkerContext } from './attempt.ts';
import { refusal, UpstreamBlocked } from './refusal.ts';

/** A grant that is picked up later than this is asked for anew: other starts may have followed it by then. */
const staleGrantMs = 100;

/**
 * How late a grant may be picked up by a call that has waited so: twice as late for each time that it waited for a limit
 * beyond once for each attempt. Else nothing would start where every pick-up takes longer.
 */
export function maxLateMs({ waits, attempt }: { waits: readonly Wait[]; attempt: number }): number {
  const limitWaits = waits.filter(({ reason }) => reason === 'rate' || reason === 'concurrency').length;
  return staleGrantMs * 2 ** Math.max(0, limitWaits - attempt);
}

/** The result of an equal call, found in the cache. */
export interface Found {
  value: unknown;
}

/** Asks whether the call may start now, or need not. Costs no command where there is nothing to decide. */
export async function open(
  attempt: Attempt,
  tool: Tool,
  args: unknown,
  worker: WorkerContext,
): Promise<Found | undefined> {
  const { envelope, pool, token, said, firstPickUp } = attempt;
  const now = worker.clock.now();
  const leftMs = envelope.deadlineAt - now;
  if (leftMs <= 0) throw new CallError('deadline_exceeded');
  if (said?.kind === 'refused') throw refusal(said, envelope);
  waitForUpstream(attempt, tool, worker, now);

  const { effects, cache } = tool.manifest.policy;
  const admission = toAsk(attempt, tool, args, now);
  if (!admission && firstPickUp && !envelope.takeover && effects !== 'at-most-once') return undefined;

  const startMarkMs = effects === 'at-most-once' ? leftMs + worker.limits.ledgerTtlMs : 0;
  const opening = { key: envelope.key, job: { pool, token }, startMarkMs, admission };
  const opened = await worker.ledger.open({ ...opening, staleMs: cache?.staleIfErrorMs ?? 0 });
  if (cache) countLookup(opened.kind, tool);
  return answer(opened, attempt);
}

/** A call that waits, for an equal one or a limit, has its answer when it asks again. */
function countLookup(kind: Opened['kind'], { manifest }: Tool): void {
  const result = kind === 'cached' ? 'hit' : kind === 'go' ? 'miss' : undefined;
  if (result) count('callyard.cache.lookups', { 'gen_ai.tool.name': manifest.name, result });
}

function answer(opened: Opened, { envelope }: Attempt): Found | undefined {
  switch (opened.kind) {
    case 'go':
      return undefined;
    case 'cached':
      return { value: opened.value };
    case 'stale':
      throw new Interruption('lock-lost');
    case 'started':
      throw new CallError('outcome_unknown');
    case 'settled':
      throw new AlreadySettled(opened.outcome);
    case 'follow':
      throw new MustWait('same_call');
    case 'wait':
      throw new MustWait(reasonOfBucket(opened.bucket), opened.afterMs, opened.bucket);
    case 'refused':
      throw refusal(opened, envelope);
  }
}

/** Other workers tell of a block the moment they meet it, so what was granted just before it waits, too. */
function waitForUpstream({ envelope }: Attempt, { manifest }: Tool, { blocks }: WorkerContext, now: number): void {
  if (blocks.isEmpty) return;
  const bucket = upstreamBucket(manifest.name, manifest.policy.upstreamKey, envelope.principal);
  const until = blocks.until(bucket, now);
  if (until === undefined) return;
  const retryAfterMs = until - now;
  if (until > envelope.deadlineAt) throw new UpstreamBlocked(retryAfterMs);
  throw new MustWait('retry_after', retryAfterMs, bucket);
}

/** What admission is to be asked about: nothing where its word is fresh and this worker knows no more than it did. */
function toAsk(attempt: Attempt, tool: Tool, args: unknown, now: number): AdmissionCall | undefined {
  const { envelope, said, firstPickUp } = attempt;
  const own = ownAdmission(attempt, tool, args);
  if (own) {
    attempt.admission = own;
    return own;
  }
  // Whatever stops a call on its way takes its grant out of its progress: one that is there, and fresh, holds.
  const grantedAt = said?.kind === 'granted' ? said.at : firstPickUp ? envelope.enqueuedAt : 0;
  const isFresh = now - grantedAt <= maxLateMs(attempt);
  return isFresh || (firstPickUp && envelope.limits.length === 0) ? undefined : attempt.admission;
}

/** Where this worker has a say: limits its manifest has and the envelope lacks, and results that may be kept. */
function ownAdmission({ envelope, pool }: Attempt, { manifest }: Tool, args: unknown): AdmissionCall | undefined {
  const { principal, limits } = envelope;
  const { name, policy } = manifest;
  const own = policy.limits.length === 0 ? [] : resolveLimits(policy.limits, { tool: name, principal, args });
  const more = own.filter(({ bucket }) => !limits.some((sent) => sent.bucket === bucket));
  if (more.length === 0 && !policy.cache) return undefined;
  const lane = envelope.lane ?? { weight: 1, upstream: upstreamBucket(name, policy.upstreamKey, principal) };
  const cacheId = policy.cache && cacheIdOf(manifest, policy.cache.scope, principal, args);
  return admissionCall({ ...envelope, lane: { ...lane, ...(cacheId && { cacheId }) } }, pool, [...limits, ...more]);
}
