import type { Envelope, Outcome, Wait } from '@callyard/shared/call';
import type { CallError } from '@callyard/shared/failure';
import type { Clock } from '@callyard/shared/clock';
import type { Ledger } from '@callyard/shared/ledger';
import type { ToolSet } from '@callyard/shared/tool-set';
import type { Logger } from 'pino';
import type { WorkerLimits } from './options.ts';
import type { StuckHandlers } from './stuck.ts';

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
  /** aborts with what ends the attempt: an `Interruption`, or the `CallError` of a timeout */
  readonly abort: AbortController;
}

/** What the steps need of the worker they run in. */
export interface WorkerContext {
  readonly id: string;
  readonly tools: ToolSet;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly log: Logger;
  readonly redact: (value: unknown) => unknown;
  readonly limits: WorkerLimits;
  readonly stuck: StuckHandlers;
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
  | { kind: 'settled'; outcome: Outcome }
  | { kind: 'retry'; error: CallError; delayMs: number; spendsAttempt: boolean }
  | { kind: 'hand-back'; reason: 'shutdown' }
  /** another worker has it by now: touch nothing */
  | { kind: 'abandoned' };
