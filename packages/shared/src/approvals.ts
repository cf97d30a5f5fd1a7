import { parseEnvelope, parseOutcome, type Envelope, type Outcome } from './call.ts';
import type { Names } from './names.ts';
import type { Principal } from './principal.ts';
import { answersOf, loadScript, type Redis } from './redis.ts';

/** Questions one command reads: each may hold a call of a megabyte. */
const pageSize = 20;

/** What a person said to a call. */
export interface Decision {
  approved: boolean;
  by: Pick<Principal, 'userId' | 'roles'>;
  why?: string;
  /** Redis time, ms */
  at: number;
}

/** What is told of a call without its job. Its arguments are in the job alone. */
interface AboutCall {
  tool: { name: string; version: string };
  /** what it takes to decide */
  requires: string[];
}

export interface ApprovalRequest extends AboutCall {
  key: string;
  pool: string;
  owner: string;
  /** the call may wait for so long, but not past its deadline */
  timeoutMs: number;
  deadlineAt: number;
  /** how long after the deadline it is known what became of the question */
  keptMs: number;
}

export type Asked =
  /** wait until then */
  | { kind: 'pending'; dueAt: number }
  | { kind: 'decided'; decision: Decision }
  | { kind: 'expired' }
  | { kind: 'settled'; outcome: Outcome };

export type Decided = { kind: 'written' | 'decided'; decision: Decision } | { kind: 'over' | 'unknown' };

/** A question as it stands. */
export interface Approval extends AboutCall {
  owner: string;
  askedAt: number;
  /** until when it can be decided */
  dueAt: number;
  /** of the call: a key may be used for another one when this one is forgotten */
  deadlineAt: number;
  /** what a person decided */
  decision?: Decision;
}

export interface PendingApproval extends Approval {
  envelope: Envelope;
}

/** Calls that wait for a person. The first decision holds. */
export interface ApprovalRequests {
  /** Asks, unless it was asked before, and answers how it stands. */
  ask(request: ApprovalRequest): Promise<Asked>;
  /** Has a call whose job is delayed wait for the decision: not at all where it came meanwhile. */
  park(pool: string, key: string): Promise<void>;
  read(key: string): Promise<Approval | undefined>;
  decide(key: string, decision: Omit<Decision, 'at'>): Promise<Decided>;
  /** What an owner's people can decide on at this time, the most urgent first. */
  pending(owner: string, now: number): AsyncGenerator<PendingApproval>;
}

const askScript = loadScript('./approval-ask-1.lua', import.meta.url);
const parkScript = loadScript('./approval-park-1.lua', import.meta.url);
const decideScript = loadScript('./approval-decide-1.lua', import.meta.url);

export function createApprovalRequests(redis: Redis, names: Names): ApprovalRequests {
  const { tag } = names;
  return {
    async ask({ key, pool, owner, tool, requires, timeoutMs, deadlineAt, keptMs }) {
      const about: AboutCall = { tool, requires };
      const args = [key, pool, owner, JSON.stringify(about), timeoutMs, deadlineAt, deadlineAt + keptMs];
      return readAsked((await askScript(redis, [tag], args)) as [Asked['kind'], string]);
    },
    async park(pool, key) {
      await parkScript(redis, [tag], [pool, key]);
    },
    read: async (key) => readApproval(await redis.hmget(names.approval(key), ...fields)),
    async decide(key, decision) {
      const answer = (await decideScript(redis, [tag], [key, JSON.stringify(decision)])) as [Decided['kind'], string];
      const [kind, text] = answer;
      return kind === 'over' || kind === 'unknown' ? { kind } : { kind, decision: JSON.parse(text) as Decision };
    },
    async *pending(owner, now) {
      const index = names.approvals(owner);
      const keys = await redis.zrange(index, now, '+inf', 'BYSCORE');
      for (let at = 0; at < keys.length; at += pageSize) yield* await readPage(keys.slice(at, at + pageSize), index);
    },
  };

  /** Calls that were cancelled meanwhile are left out, and taken out of the index. */
  async function readPage(keys: readonly string[], index: string): Promise<PendingApproval[]> {
    const questions = await pipelined(keys, (pipeline, key) => pipeline.hmget(names.approval(key), 'pool', ...fields));
    const pools = questions.map((question) => (question as (string | null)[])[0] ?? '');
    const jobs = await pipelined(keys, (pipeline, key, i) => pipeline.hget(names.job(pools[i] ?? '', key), 'data'));
    const ended = await redis.mget(keys.map((key) => names.outcome(key)));
    const over = keys.filter((_, i) => ended[i] !== null);
    if (over.length > 0) await redis.zrem(index, over);
    return keys.flatMap((_, i) => {
      const [, ...values] = questions[i] as (string | null)[];
      const approval = readApproval(values);
      const envelope = envelopeIn(jobs[i] as string | null);
      return approval && envelope && !approval.decision && !ended[i] ? { ...approval, envelope } : [];
    });
  }

  async function pipelined(
    keys: readonly string[],
    add: (pipeline: ReturnType<Redis['pipeline']>, key: string, i: number) => unknown,
  ): Promise<unknown[]> {
    const pipeline = redis.pipeline();
    keys.forEach((key, i) => add(pipeline, key, i));
    return answersOf(pipeline);
  }
}

const fields = ['owner', 'about', 'askedAt', 'dueAt', 'deadlineAt', 'decision'] as const;

function readApproval(values: readonly (string | null)[]): Approval | undefined {
  const [owner, about, askedAt, dueAt, deadlineAt, decision] = values;
  if (!owner || !about) return undefined;
  const { tool, requires } = JSON.parse(about) as AboutCall;
  return {
    tool,
    requires,
    owner,
    askedAt: Number(askedAt),
    dueAt: Number(dueAt),
    deadlineAt: Number(deadlineAt),
    ...(decision ? { decision: JSON.parse(decision) as Decision } : {}),
  };
}

function readAsked([kind, text]: [Asked['kind'], string]): Asked {
  switch (kind) {
    case 'pending':
      return { kind, dueAt: Number(text) };
    case 'decided':
      return { kind, decision: JSON.parse(text) as Decision };
    case 'settled':
      return { kind, outcome: parseOutcome(text) };
    case 'expired':
      return { kind };
  }
}

function envelopeIn(data: string | null): Envelope | undefined {
  if (data === null) return undefined;
  const parsed = parseEnvelope(JSON.parse(data));
  return parsed.kind === 'ok' ? parsed.envelope : undefined;
}
