import type { Envelope, FailedAttempt, Outcome, OutcomeError, Wait } from '@callyard/shared/call';
import type { RetryState } from '@callyard/shared/dead-retries';
import type { FailureCode } from '@callyard/shared/failure';
import type { Decision } from '@callyard/shared/approvals';

/** What became of a call, or of a run; times are milliseconds since 1970 on the clock of Redis. */
export type Why = CallStory | RunStory | Unreadable | Gone | Malformed;

/** It is no key at all. */
interface Malformed {
  kind: 'malformed';
  key: string;
  /** what may have been meant */
  nearest?: string;
}

/** Neither a job nor an outcome: never enqueued, or kept no longer. */
interface Gone {
  kind: 'gone';
  key: string;
  /** how long outcomes are kept past the deadline of their call */
  keptMs: number;
  /** how long dead letters are */
  deadKeptMs: number;
}

/** It has a job that is no call this version can read, and no outcome. */
interface Unreadable {
  kind: 'unreadable';
  key: string;
  pool: string;
  why: string;
}

/** The calls of a durable run. */
export interface RunStory {
  kind: 'run';
  runId: string;
  state: string;
  stop?: string;
  owner: string;
  userId: string;
  conversationId?: string;
  calls: { key: string; tool: string; status: Outcome['status'] | 'under way'; code?: FailureCode; ms?: number }[];
  traceId?: string;
}

/** The life of one call. What only its job knew is gone with that, unless its durable run knows it, too. */
export interface CallStory {
  kind: 'call';
  key: string;
  /** when this was told */
  toldAt: number;
  runId: string;
  tool: { name: string; version: string };
  /** the id that the provider of the model gave it */
  providerId?: string;
  owner?: string;
  userId?: string;
  conversationId?: string;
  class?: Envelope['class'];
  /** who waits for it */
  dispatcher?: string;
  /** the original call, where this one is a retry of a dead letter */
  replayOf?: string;
  /** what this dead letter was last retried as */
  retry?: { key: string; state: RetryState; code?: FailureCode };
  enqueuedAt?: number;
  deadlineAt?: number;
  pool?: { id: string; workers: number; slots: number };
  /** those that have ended */
  waits: Wait[];
  attempts: number;
  failedAttempts: FailedAttempt[];
  /** workers that died or lost their lock while they held it */
  lost: number;
  worker?: string;
  approval?: { askedAt: number; dueAt: number; requires: string[]; decision?: Decision };
  /** where it is; absent once it has ended */
  now?: CallNow;
  /** how it ended */
  end?: CallEnd;
  traceId?: string;
  /** redacted, and only where it was asked for */
  content?: { arguments?: unknown; result?: unknown };
}

export interface CallEnd {
  status: Outcome['status'];
  error?: Pick<OutcomeError, 'code' | 'message'>;
  cached?: boolean;
  degraded?: Outcome['degraded'];
  settledBy: Outcome['settledBy'];
  /** of all that is known: from enqueue to outcome, and how much of it was waiting */
  totalMs?: number;
  waitedMs: number;
  /** of the last attempt */
  ranMs?: number;
  /** until when the outcome, or the dead letter, is kept */
  keptUntil?: number;
}

/** Something that a call waits for in its lane. */
export interface LaneWait {
  reason: 'rate' | 'concurrency' | 'quota' | 'retry_after' | 'share';
  /** of a limit: what it counts for each of; empty where it is everybody's */
  per?: readonly string[];
  limit?: string;
  /** when it may go on, if that is known */
  at?: number;
}

export type CallNow = { since: number } & (
  | { is: 'proposed'; isServed: boolean }
  /** `place` counts from 1 */
  | { is: 'lane'; place: number; of: number; waitsFor: LaneWait[] }
  | { is: 'queued'; before: number }
  | { is: 'delayed'; reason: Wait['reason'] | 'limit'; until: number }
  | { is: 'approval'; until: number }
  | { is: 'active'; worker?: string; isAlive: boolean; lockMs?: number }
  | { is: 'moving' }
);
