import type { Approval } from '@callyard/shared/approvals';
import { argumentsIn } from '@callyard/shared/arguments';
import { runIdOf, runIdPattern } from '@callyard/shared/call';
import { deadLetterTtlMs } from '@callyard/shared/dead-jobs';
import { readRetries } from '@callyard/shared/dead-retries';
import { createRedactor, type Redactor } from '@callyard/shared/redact';
import { traceIdIn } from '@callyard/shared/telemetry-context';
import type { Connected } from '../connect.ts';
import type { RunSpec } from '../durable/run-spec.ts';
import { endOf } from './end.ts';
import { findCall, type Found } from './found.ts';
import { nearestKey, placeIn } from './keys.ts';
import { nowOf } from './now.ts';
import { storyOfRun } from './run.ts';
import type { CallStory, Why } from './story.ts';

export interface WhyOptions {
  /** also arguments and result, redacted as logs are */
  content?: boolean;
}

/** Tells the life of a call by its key, or the calls of a durable run by its id. Reads, and changes nothing. */
export async function why(key: string, { content = false }: WhyOptions, to: Connected): Promise<Why> {
  if (runIdPattern.test(key)) return storyOfRun(key, to);
  if (!placeIn(key)) {
    const nearest = nearestKey(key);
    return { kind: 'malformed', key, ...(nearest === undefined ? {} : { nearest }) };
  }
  const found = await findCall(key, to);
  return storyOf(found, content, to);
}

async function storyOf(found: Found, withContent: boolean, to: Connected): Promise<Why> {
  const { key, job, unreadable, outcome, proposed, approval, run } = found;
  if (unreadable && !outcome) return { kind: 'unreadable', key, pool: unreadable.pool, why: unreadable.unreadable };
  if (!job && !outcome && !proposed) {
    return { kind: 'gone', key, keptMs: to.config.ledgerTtlMs, deadKeptMs: deadLetterTtlMs };
  }
  const redact = createRedactor({ keys: to.config.redactKeys });
  const toldAt = to.clock.now();
  const end = endOf(found, toldAt, redact);
  const traceId = outcome?.traceId ?? traceIdIn(job?.carrier) ?? run?.traceId;
  return {
    kind: 'call',
    key,
    toldAt,
    runId: runIdOf(key),
    tool: outcome?.tool ?? job?.envelope.tool ?? { name: proposed?.function.name ?? '', version: '' },
    ...whoseIs(found),
    ...(await retriesOf(found, to)),
    ...timesOf(found),
    ...poolOf(found),
    ...approvalOf(approval),
    ...(end ? { end } : { now: await nowOf(found, to) }),
    ...(traceId === undefined ? {} : { traceId }),
    ...(withContent ? { content: contentOf(found, redact) } : {}),
  };
}

function whoseIs({ job, outcome, run, proposed }: Found) {
  const { owner, principal, conversationId, class: ofClass, replyTo } = job?.envelope ?? {};
  const spec = run && (JSON.parse(run.spec ?? '{}') as Partial<RunSpec>);
  return present({
    providerId: (outcome ?? job?.envelope)?.call.id ?? proposed?.id,
    owner: owner ?? run?.owner,
    userId: (principal ?? spec?.principal)?.userId,
    conversationId: conversationId ?? spec?.conversationId,
    class: ofClass ?? spec?.class,
    dispatcher: replyTo ?? run?.holder,
  });
}

function timesOf({ job, outcome, run }: Found) {
  const known = outcome ?? job;
  const deadline = job?.envelope.deadlineAt ?? (run && Number(run.deadlineAt));
  return {
    waits: known?.waits ?? [],
    attempts: known?.attempts ?? 0,
    failedAttempts: known?.failedAttempts ?? [],
    lost: known?.lost ?? 0,
    ...present({
      enqueuedAt: outcome?.enqueuedAt ?? job?.envelope.enqueuedAt,
      deadlineAt: deadline,
      worker: known?.worker,
    }),
  };
}

function poolOf({ job, pools }: Found): Pick<CallStory, 'pool'> {
  if (!job) return {};
  const { workers = [] } = pools.find(({ pool }) => pool === job.pool) ?? {};
  const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
  return { pool: { id: job.pool, workers: workers.length, slots } };
}

function approvalOf(approval: Approval | undefined): Pick<CallStory, 'approval'> {
  if (!approval) return {};
  const { askedAt, dueAt, requires, decision } = approval;
  return { approval: { askedAt, dueAt, requires, ...(decision ? { decision } : {}) } };
}

/** Of a retry whose job is gone, its key still tells of what it is one. */
async function retriesOf({ key, job }: Found, to: Connected): Promise<Pick<CallStory, 'replayOf' | 'retry'>> {
  const [last] = await readRetries([{ key }], to.clock.now(), to);
  const original = /^(.+)~\d+$/.exec(key)?.[1];
  const replayOf = job?.envelope.replayOf ?? original;
  const retry = last && { key: last.mark.key, state: last.state, ...(last.code ? { code: last.code } : {}) };
  return { ...present({ replayOf }), ...(retry ? { retry } : {}) };
}

function contentOf({ job, outcome, proposed }: Found, redact: Redactor): NonNullable<CallStory['content']> {
  const text = job?.envelope.call.arguments ?? proposed?.function.arguments;
  return {
    ...(text === undefined ? {} : { arguments: redact(argumentsIn(text)) }),
    ...(outcome?.value === undefined ? {} : { result: redact(outcome.value) }),
  };
}

/** Without the fields that are not known. */
function present<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  const known = Object.entries(fields).filter(([, value]) => value !== undefined && value !== '');
  return Object.fromEntries(known) as { [K in keyof T]?: NonNullable<T[K]> };
}
