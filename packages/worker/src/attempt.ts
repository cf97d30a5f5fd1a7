import type { Admission } from '@callyard/shared/admission/admission';
import type { AdmissionCall } from '@callyard/shared/admission/admission-call';
import type { ApprovalRequests } from '@callyard/shared/approvals';
import type { Audit } from '@callyard/shared/audit';
import type { Cache } from '@callyard/shared/cache';
import type { Envelope, FailedAttempt, Outcome, Wait } from '@callyard/shared/call';
import type { ConversationStates } from '@callyard/shared/conversation-state';
import type { Said } from '@callyard/shared/call-progress';
import type { CallError } from '@callyard/shared/failure';
import type { Clock } from '@callyard/shared/clock';
import type { Ledger } from '@callyard/shared/ledger';
import type { Tally } from '@callyard/shared/tally';
import type { Tool } from '@callyard/shared/tool';
import type { ToolSet } from '@callyard/shared/tool-set';
import type { Logger } from 'pino';
import type { Blocks } from './blocks.ts';
import type { WorkerLimits } from './options.ts';
import type { StuckHandlers } from './stuck.ts';
import type { Telling } from './telling.ts';

/** One pick-up of a call by this worker. */
export interface Attempt {
  readonly envelope: Envelope;
  readonly pool: string;
  /** BullMQ's lock token: whoever holds it may settle the call */
  readonly token: string;
  /** executions spent, this one included */
  readonly attempt: number;
  /** workers that died or lost their lock while they held the call */
  readonly lost: number;
  /** whether this is the first time any worker has it */
  readonly firstPickUp: boolean;
  /** `Retry-After` waits so far: they spend no attempt, so they are counted apart */
  readonly retryAfters: number;
  readonly waits: readonly Wait[];
  /** those among them that this pick-up ended */
  readonly ended: readonly Wait[];
  /** attempts before this one that failed */
  readonly failedAttempts: readonly FailedAttempt[];
  /** what admission decides on; absent where it has nothing to say. `open` adds limits that only this worker knows */
  admission: AdmissionCall | undefined;
  /** what admission said when it let the job go, if the call had to wait for it */
  readonly said: Said | undefined;
  /** aborts with what ends the attempt from outside: an `Interruption` */
  readonly abort: AbortController;
  /** Aborts it where its lock is over. To be asked before what must not happen then, as no timer may have been heard. */
  readonly checkLock: () => void;
}

/** Keeps a worker from asking services that fail: a circuit for each tool whose policy wants one. */
export interface Breakers {
  /** @throws CallError `circuit_open`, without running the attempt */
  run<T>(tool: Tool, attempt: () => Promise<T>): Promise<T>;
}

/** What the steps need of the worker they run in. */
export interface WorkerContext {
  readonly id: string;
  readonly tools: ToolSet;
  readonly ledger: Ledger;
  readonly admission: Admission;
  readonly approvals: ApprovalRequests;
  readonly cache: Cache;
  readonly states: ConversationStates;
  /** buckets that a service behind a tool has blocked, as this worker has heard */
  readonly blocks: Blocks;
  readonly breakers: Breakers;
  readonly clock: Clock;
  readonly log: Logger;
  readonly audit: Audit;
  readonly redact: (value: unknown) => unknown;
  readonly limits: WorkerLimits;
  readonly stuck: StuckHandlers;
  readonly tally: Tally;
  /** since when the pool is served without a gap, as the catalog said when this worker came: Redis time */
  readonly served: { since: number };
  readonly telling: Telling;
}

/** Ends an attempt without an outcome. */
export class Interruption extends Error {
  readonly kind: 'shutdown' | 'lock-lost';
  /** no fault of the tool: its span is no error */
  readonly benign = true;

  constructor(kind: Interruption['kind']) {
    super(`interrupted: ${kind}`);
    this.name = 'Interruption';
    this.kind = kind;
  }
}

/** Ends a pick-up because the call may not start now. */
export class MustWait extends Error {
  readonly reason: Wait['reason'];
  /** until it may, if that is known */
  readonly delayMs: number;
  /** of the limit it waits for */
  readonly bucket: string | undefined;
  /** no fault of the tool: its span is no error */
  readonly benign = true;

  constructor(reason: Wait['reason'], delayMs = 0, bucket?: string) {
    super(`must wait: ${reason}`);
    this.name = 'MustWait';
    this.reason = reason;
    this.delayMs = delayMs;
    this.bucket = bucket;
  }
}

/** Ends an attempt because the call is settled already. */
export class AlreadySettled extends Error {
  readonly outcome: Outcome;

  constructor(outcome: Outcome) {
    super(`already settled: ${outcome.key}`);
    this.name = 'AlreadySettled';
    this.outcome = outcome;
  }
}

/** What becomes of the job. */
export type Verdict =
  /** `adopted` when somebody else settled it */
  | { kind: 'settled'; outcome: Outcome; adopted: boolean }
  | { kind: 'retry'; error: CallError; delayMs: number }
  | { kind: 'hand-back'; reason: 'shutdown' }
  /** it may not start now: back into its lane, or away for `delayMs` where it has none */
  | { kind: 'wait'; reason: Wait['reason']; delayMs: number; started: boolean; error?: CallError; bucket?: string }
  /** another worker has it by now: touch nothing */
  | { kind: 'abandoned' };
