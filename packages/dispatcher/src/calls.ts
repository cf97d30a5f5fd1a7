import { neverFits } from '@callyard/shared/admission/resolve-limits';
import { callKey, type Envelope, type Outcome, type OutcomeError } from '@callyard/shared/call';
import type { Clock } from '@callyard/shared/clock';
import { failures } from '@callyard/shared/failure';
import type { Ledger } from '@callyard/shared/ledger';
import type { CallQueues } from '@callyard/shared/queue';
import { finishedEvent } from '@callyard/shared/runs/run-event';
import { startSendSpan } from '@callyard/shared/telemetry';
import type { Logger } from 'pino';
import { tooCostly, type LimitOptions } from './call-limits.ts';
import { envelopeOf, outcomeHere, type RunFrame } from './envelope.ts';
import type { Expectation, Gather } from './gather.ts';
import type { LiveTools } from './live-tools.ts';
import type { ProposedCall } from './read-calls.ts';
import { HoldEnd, RunOver } from './run-over.ts';

export interface CallsOptions {
  queues: CallQueues;
  ledger: Ledger;
  gather: Gather;
  live: LiveTools;
  clock: Clock;
  log: Logger;
  dispatcher: string;
  /** how long a call waits for a worker to come before it is `tool_unavailable` */
  unservedMs: number;
  sweepMs: number;
  ledgerTtlMs: number;
  limits: LimitOptions;
}

/** A call on its way. `pool` is absent while no live pool serves its tool. */
interface Sent {
  envelope: Envelope;
  carrier: string | undefined;
  /** kept here, as timers that settle a call run outside of its trace */
  traceId: string | undefined;
  pool: string | undefined;
  unservedSince: number | undefined;
  /** while its job is on the way to Redis, or back: a bulk of many may take longer than a sweep */
  isPlacing: boolean;
  /** of a durable run: the hold under which this dispatcher may speak */
  fence: string | undefined;
  /** ends the run, as it is cancelled */
  cancel: () => void;
  /** ends the waiting, as this dispatcher may not speak any more */
  lose: (error: HoldEnd) => void;
}

/** Brings calls to workers and their outcomes back. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #underway = new Set<Sent>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: CallsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#sweep(), options.sweepMs);
    this.#timer.unref();
  }

  /** The calls of one turn at once, in one bulk; resolves with their outcomes in their order. */
  async run(frame: RunFrame, turn: number, proposed: readonly ProposedCall[]): Promise<Outcome[]> {
    const known = await this.#knownOutcomes(frame, turn, proposed.length);
    return Promise.all(
      proposed.map(async (call, index) => known[index] ?? this.#runOne(frame, turn, index, call, proposed.length)),
    );
  }

  /** One after the other; with `stopAtFailure` the rest is cancelled after the first that did not complete. */
  async runInOrder(
    frame: RunFrame,
    turn: number,
    proposed: readonly ProposedCall[],
    stopAtFailure: boolean,
  ): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    const known = await this.#knownOutcomes(frame, turn, proposed.length);
    for (const [index, call] of proposed.entries()) {
      const outcome = known[index] ?? (await this.#runOne(frame, turn, index, call, proposed.length));
      outcomes.push(outcome);
      if (!stopAtFailure || outcome.status === 'completed') continue;
      const rest = this.refuse(frame, turn, proposed, notReached(outcome.call.name));
      return [...outcomes, ...rest.slice(index + 1)];
    }
    return outcomes;
  }

  /** Answers every call of a turn without running it. */
  refuse(frame: RunFrame, turn: number, proposed: readonly ProposedCall[], error: OutcomeError): Outcome[] {
    return proposed.map((call, index) => outcomeHere(this.#envelope(frame, turn, index, call, proposed.length), error));
  }

  /** The calls of a run that are under way; undefined while one of them has no worker that could run it. */
  underway(runId: string): string[] | undefined {
    const sent = [...this.#underway].filter(({ envelope }) => envelope.runId === runId);
    if (sent.some(({ pool, isPlacing }) => pool === undefined || isPlacing)) return undefined;
    return sent.map(({ envelope }) => envelope.key);
  }

  /** Ends what Redis has lost, as it came back with less than it had: nobody would ever tell of it. */
  async endForgotten(): Promise<void> {
    const placed = [...this.#underway].flatMap((sent) =>
      sent.pool === undefined || sent.isPlacing ? [] : { sent, pool: sent.pool, key: sent.envelope.key },
    );
    for (const { sent } of await this.#options.ledger.forgotten(placed)) this.#settle(sent, forgotten);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Of a turn that was begun before: what came of its calls meanwhile. */
  async #knownOutcomes({ runId, hold }: RunFrame, turn: number, count: number): Promise<(Outcome | undefined)[]> {
    if (!hold?.sentTo) return [];
    return this.#options.ledger.read(Array.from({ length: count }, (_, index) => callKey({ runId, turn, index })));
  }

  #envelope(frame: RunFrame, turn: number, index: number, proposed: ProposedCall, of: number): Envelope {
    const { dispatcher: replyTo, clock, limits } = this.#options;
    return envelopeOf(frame, { turn, index, of }, proposed, { replyTo, enqueuedAt: clock.now() }, limits);
  }

  async #runOne(frame: RunFrame, turn: number, index: number, proposed: ProposedCall, of: number): Promise<Outcome> {
    const envelope = this.#envelope(frame, turn, index, proposed, of);
    if ('error' in proposed) return this.#refuseOne(envelope, proposed.error);
    const beyond = neverFits(envelope.limits);
    if (beyond) return this.#refuseOne(envelope, tooCostly(beyond));
    // One that was enqueued before is somewhere, and may have an outcome: it is settled and taken back.
    if (frame.signal.aborted && !frame.hold?.sentTo?.has(index)) return outcomeHere(envelope, errorOf(frame.signal));
    return this.#send(frame, envelope);
  }

  /** Refused without a job, with the audit line that its worker would have written. */
  #refuseOne(envelope: Envelope, error: OutcomeError): Outcome {
    const { owner, userId: user_id, roles } = envelope.principal;
    const { key: job_id, runId: run_id, tool } = envelope;
    const line = { event: 'call.refused', audit: true, job_id, run_id, tool: tool.name, code: error.code };
    this.#options.log.info({ ...line, owner, user_id, roles }, 'refused');
    return outcomeHere(envelope, error);
  }

  async #send(frame: RunFrame, envelope: Envelope): Promise<Outcome> {
    const { gather } = this.#options;
    const { hold } = frame;
    const span = startSendSpan(envelope);
    const lost = new AbortController();
    const sent: Sent = {
      envelope,
      carrier: span.carrier,
      traceId: span.traceId,
      pool: hold?.sentTo?.get(envelope.index),
      unservedSince: undefined,
      isPlacing: false,
      fence: hold?.fence,
      cancel: () => hold?.cancel(),
      lose: (error) => lost.abort(error),
    };
    const leave = hold && AbortSignal.any([hold.leave, lost.signal]);
    const gathered = gather.expect(envelope.key, expectationOf(frame), leave);
    gathered.catch(() => {}); // it may be left while its job is on the way
    const giveUp = () => this.#settle(sent, errorOf(frame.signal));
    this.#underway.add(sent);
    frame.signal.addEventListener('abort', giveUp, { once: true });
    try {
      if (!frame.signal.aborted) await this.#place(sent);
      span.end(sent.pool);
      if (frame.signal.aborted) giveUp();
      return await gathered;
    } finally {
      this.#underway.delete(sent);
      frame.signal.removeEventListener('abort', giveUp);
    }
  }

  /** Enqueues the call in a pool that serves its tool; where there is none, the sweep tries again. */
  async #place(sent: Sent): Promise<void> {
    const { live, log } = this.#options;
    // One that was enqueued before stays where it is: in two pools it could run twice.
    const pool = sent.pool ?? live.route(sent.envelope.tool);
    if (pool === undefined || !live.isLive(pool)) return;
    sent.isPlacing = true;
    try {
      await this.#add(pool, sent);
    } catch (error) {
      sent.envelope = { ...sent.envelope, takeover: true }; // it may have been, and have run
      log.warn({ err: error, job_id: sent.envelope.key }, 'a call could not be enqueued; it is tried again');
    } finally {
      sent.isPlacing = false;
    }
  }

  async #add(pool: string, sent: Sent): Promise<void> {
    if (sent.envelope.takeover) await this.#clearWay(pool, sent.envelope.key);
    const added = await this.#options.queues.add(pool, sent);
    if (added === 'added') {
      sent.pool = pool;
      sent.unservedSince = undefined;
    } else if (added === 'cancelled') sent.cancel();
    else sent.lose(new HoldEnd(added));
  }

  /** A job that ended long ago, a dead letter say, would keep its key from running again once its outcome is forgotten. */
  async #clearWay(pool: string, key: string): Promise<void> {
    const { ledger, queues } = this.#options;
    // A worker writes the outcome before its job ends: what has ended without one has lost it to time.
    if (!(await queues.hasEnded(pool, key))) return;
    const [outcome] = await ledger.read([key]);
    if (!outcome) await queues.remove(pool, key);
  }

  #sweep(): void {
    const { live, log } = this.#options;
    for (const sent of this.#underway) {
      if (sent.isPlacing) continue;
      if (sent.pool !== undefined && live.isLive(sent.pool)) sent.unservedSince = undefined;
      else this.#rescue(sent).catch((error: unknown) => log.warn({ err: error }, 'a call could not be moved'));
    }
  }

  /**
   * Moves a call whose pool has no live worker left to another, or gives up after `unservedMs`. Until then it stays where
   * it is: most often the workers come back, and its place in its lane is kept.
   */
  async #rescue(sent: Sent): Promise<void> {
    const { live, clock, unservedMs } = this.#options;
    sent.unservedSince ??= clock.now();
    const isOver = clock.now() - sent.unservedSince >= unservedMs;
    if (!isOver && live.route(sent.envelope.tool) === undefined) return;
    if (sent.pool !== undefined && !(await this.#takeBack(sent, sent.pool))) return;
    await this.#place(sent);
    if (sent.pool === undefined && isOver) this.#settle(sent, unserved(sent.envelope, live));
  }

  /** A worker that stops, or died a moment ago, may still hold the job: then it cannot be taken back yet. */
  async #takeBack(sent: Sent, pool: string): Promise<boolean> {
    sent.isPlacing = true;
    try {
      if (!(await this.#options.queues.withdraw(pool, sent.envelope))) return false;
      sent.envelope = { ...sent.envelope, takeover: true };
      sent.pool = undefined;
      return true;
    } finally {
      sent.isPlacing = false;
    }
  }

  /** The dispatcher's own word on a call: holds unless a worker was first. */
  #settle(sent: Sent, error: OutcomeError): void {
    const { ledger, gather, queues, clock, ledgerTtlMs, log } = this.#options;
    const { envelope } = sent;
    const settle = async (): Promise<void> => {
      const outcome = outcomeHere(envelope, error, sent.traceId);
      const ttlMs = Math.max(0, envelope.deadlineAt - clock.now()) + ledgerTtlMs;
      const run = sent.fence === undefined ? undefined : { id: envelope.runId, fence: sent.fence };
      const event = run && finishedEvent(outcome);
      const settled = await ledger.settle({ outcome, text: JSON.stringify(outcome), ttlMs, replyTo: '', run, event })
        .done;
      if (settled.kind === 'stale') return sent.lose(new HoldEnd('stale'));
      gather.settle(settled.outcome);
      if (sent.pool !== undefined) await queues.withdraw(sent.pool, envelope);
    };
    settle().catch((failure: unknown) =>
      log.error({ err: failure, job_id: envelope.key }, 'a call could not be settled'),
    );
  }
}

function expectationOf({ takeover, hold }: RunFrame): Expectation {
  if (!takeover) return 'new';
  return hold ? 'taken-over' : 'attached';
}

function errorOf(signal: AbortSignal): OutcomeError {
  const code = signal.reason instanceof RunOver ? signal.reason.code : 'cancelled';
  return { code, message: failures[code].forModel };
}

const unserved = ({ tool }: Envelope, live: LiveTools): OutcomeError => ({
  code: 'tool_unavailable',
  message: live.find(tool.name)
    ? `No worker serves ${tool.name} in a version that satisfies ${tool.range} any more.`
    : `No worker serves ${tool.name} any more.`,
});

const forgotten: OutcomeError = {
  code: 'lost',
  message: 'Redis was restarted without what it had: whether the tool has run is not known.',
};

const notReached = (failedCall = ''): OutcomeError => ({
  code: 'cancelled',
  message: `Not run: ${failedCall} before it did not complete.`,
});
