import { neverFits } from '@callyard/shared/admission/resolve-limits';
import { callKey, type Envelope, type Outcome, type OutcomeError } from '@callyard/shared/call';
import type { Ledger } from '@callyard/shared/ledger';
import type { CallQueues } from '@callyard/shared/queue';
import { finishedEvent } from '@callyard/shared/runs/run-event';
import { inSettleSpan, startSendSpan, tellRefused } from '@callyard/shared/telemetry';
import { tooCostly, type LimitOptions } from './call-limits.ts';
import type { CallLines } from './call-lines.ts';
import { forgotten, notReached, runIsOver, unserved } from './ended-here.ts';
import { envelopeOf, outcomeHere, type RunFrame } from './envelope.ts';
import type { Expectation, Gather } from './gather.ts';
import { startGathering } from './gathering.ts';
import { howItStood, jobOf, type JobParts } from './how-it-stood.ts';
import type { LiveTools } from './live-tools.ts';
import type { ProposedCall } from './read-calls.ts';
import { HoldEnd } from './run-over.ts';
import { withWait, type SentCall } from './sent-call.ts';

export interface CallsOptions extends JobParts {
  queues: CallQueues;
  ledger: Ledger;
  gather: Gather;
  live: LiveTools;
  lines: CallLines;
  dispatcher: string;
  /** how long a call waits for a worker to come before it is `tool_unavailable` */
  unservedMs: number;
  sweepMs: number;
  ledgerTtlMs: number;
  limits: LimitOptions;
}

/** Brings calls to workers and their outcomes back. */
export class Calls {
  readonly #options: CallsOptions;
  readonly #underway = new Set<SentCall>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: CallsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#sweep(), options.sweepMs);
    this.#timer.unref();
  }

  /** The calls of one turn at once, in one bulk; resolves with their outcomes in their order. */
  async run(frame: RunFrame, turn: number, proposed: readonly ProposedCall[]): Promise<Outcome[]> {
    return this.#gathered(frame, turn, proposed, (runOne) => Promise.all(Array.from(proposed.keys(), runOne)));
  }

  /** One after the other; with `stopAtFailure` the rest is cancelled after the first that did not complete. */
  async runInOrder(
    frame: RunFrame,
    turn: number,
    proposed: readonly ProposedCall[],
    stopAtFailure: boolean,
  ): Promise<Outcome[]> {
    return this.#gathered(frame, turn, proposed, async (runOne) => {
      const outcomes: Outcome[] = [];
      for (const index of proposed.keys()) {
        const outcome = await runOne(index);
        outcomes.push(outcome);
        if (!stopAtFailure || outcome.status === 'completed') continue;
        const rest = this.refuse(frame, turn, proposed, notReached(outcome.call.name), index + 1);
        return [...outcomes, ...rest];
      }
      return outcomes;
    });
  }

  /** Runs what has no outcome yet, and tells how long the turn waited. */
  async #gathered(
    frame: RunFrame,
    turn: number,
    proposed: readonly ProposedCall[],
    gather: (runOne: (index: number) => Promise<Outcome>) => Promise<Outcome[]>,
  ): Promise<Outcome[]> {
    const known = await this.#knownOutcomes(frame, turn, proposed.length);
    const gathering = startGathering(frame);
    const under = { ...frame, gathering };
    const runOne = async (index: number) =>
      known[index] ??
      this.#runOne(under, this.#envelope(frame, turn, index, proposed), proposed[index] as ProposedCall);
    return gather(runOne).finally(gathering.over);
  }

  /** Answers the calls of a turn, `from` one on, without running them. */
  refuse(frame: RunFrame, turn: number, proposed: readonly ProposedCall[], error: OutcomeError, from = 0): Outcome[] {
    const indices = [...proposed.keys()].slice(from);
    return indices.map((index) => this.#refuseOne(this.#envelope(frame, turn, index, proposed), error));
  }

  /** The calls of a run that are under way; undefined while one of them has no worker that could run it. */
  underway(runId: string): string[] | undefined {
    const sent = [...this.#underway].filter(({ envelope }) => envelope.runId === runId);
    const isUnserved = ({ pool, unservedSince }: SentCall) => pool === undefined || unservedSince !== undefined;
    if (sent.some((one) => one.isPlacing || isUnserved(one))) return undefined;
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

  #envelope(frame: RunFrame, turn: number, index: number, all: readonly ProposedCall[]): Envelope {
    const { dispatcher: replyTo, clock, limits } = this.#options;
    const place = { turn, index, of: all.length };
    return envelopeOf(frame, place, all[index] as ProposedCall, { replyTo, enqueuedAt: clock.now() }, limits);
  }

  async #runOne(frame: RunFrame, envelope: Envelope, proposed: ProposedCall): Promise<Outcome> {
    if ('error' in proposed) return this.#refuseOne(envelope, proposed.error);
    const beyond = neverFits(envelope.limits);
    if (beyond) return this.#refuseOne(envelope, tooCostly(beyond));
    // One that was enqueued before is somewhere, and may have an outcome: it is settled and taken back.
    if (frame.signal.aborted && !frame.hold?.sentTo?.has(envelope.index))
      return this.#refuseOne(envelope, runIsOver(frame.signal));
    return this.#send(frame, envelope);
  }

  /** Answered without a job, and told as its worker would have. */
  #refuseOne(envelope: Envelope, error: OutcomeError): Outcome {
    const outcome = answerHere(envelope, error);
    this.#options.lines.ended(outcome, envelope);
    return outcome;
  }

  async #send(frame: RunFrame, envelope: Envelope): Promise<Outcome> {
    const { gather } = this.#options;
    const { hold, gathering } = frame;
    const span = startSendSpan(envelope, { chat: frame.chat, run: frame.carrier });
    const lost = new AbortController();
    const sent: SentCall = {
      envelope,
      span,
      carrier: span.carrier,
      traceId: span.traceId,
      pool: hold?.sentTo?.get(envelope.index),
      unservedSince: undefined,
      stood: undefined,
      isPlacing: false,
      fence: hold?.fence,
      cancel: () => hold?.cancel(),
      lose: (error) => lost.abort(error),
    };
    const leave = hold && AbortSignal.any([hold.leave, lost.signal]);
    const gathered = gather.expect(envelope.key, expectationOf(frame), leave);
    gathered.catch(() => {}); // it may be left while its job is on the way
    const giveUp = () => this.#settle(sent, runIsOver(frame.signal));
    this.#underway.add(sent);
    try {
      if (!frame.signal.aborted) await this.#place(sent);
      const came = gathering?.sent(envelope.key);
      // Not while it is placed: it is settled, and taken back from where it is, once.
      if (frame.signal.aborted) giveUp();
      else frame.signal.addEventListener('abort', giveUp, { once: true });
      const outcome = await gathered;
      came?.();
      return outcome;
    } finally {
      span.end(undefined); // where nobody has served it
      this.#underway.delete(sent);
      frame.signal.removeEventListener('abort', giveUp);
    }
  }

  /** Enqueues the call in a pool that serves its tool; where there is none, the sweep tries again. */
  async #place(sent: SentCall): Promise<void> {
    const { live, lines, clock } = this.#options;
    // One that was enqueued before stays where it is: in two pools it could run twice.
    const pool = sent.pool ?? live.route(sent.envelope.tool);
    if (pool === undefined || !live.isLive(pool)) {
      sent.unservedSince ??= clock.now();
      return;
    }
    sent.isPlacing = true;
    try {
      await this.#add(pool, sent);
    } catch (error) {
      sent.envelope = { ...sent.envelope, takeover: true }; // it may have been, and have run
      lines.failed('call.not_enqueued', error, sent);
    } finally {
      sent.isPlacing = false;
    }
  }

  async #add(pool: string, sent: SentCall): Promise<void> {
    if (sent.envelope.takeover) await this.#clearWay(pool, sent.envelope.key);
    const { queues, lines, clock, names } = this.#options;
    const envelope = withWait(sent, clock.now());
    const added = await queues.add(pool, { ...sent, envelope });
    if (added === 'added') {
      sent.envelope = envelope;
      sent.pool = pool;
      sent.span.end(names.queue(pool), envelope.unservedMs);
      lines.enqueued(sent, pool);
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
    const { live, lines } = this.#options;
    for (const sent of this.#underway) {
      if (sent.isPlacing) continue;
      if (sent.pool !== undefined && live.isLive(sent.pool)) sent.unservedSince = undefined;
      else this.#rescue(sent).catch((error: unknown) => lines.failed('call.not_moved', error, sent));
    }
  }

  /**
   * Moves a call whose pool has no live worker left to another, or gives up after `unservedMs`. Until then it stays where
   * it is: most often the workers come back, and its place in its lane is kept.
   */
  async #rescue(sent: SentCall): Promise<void> {
    const { live, clock, unservedMs } = this.#options;
    sent.unservedSince ??= clock.now();
    const isOver = clock.now() - sent.unservedSince >= unservedMs;
    if (!isOver && live.route(sent.envelope.tool) === undefined) return;
    if (sent.pool !== undefined && !(await this.#takeBack(sent, sent.pool))) return;
    await this.#place(sent);
    if (sent.pool === undefined && isOver) this.#settle(sent, unserved(sent.envelope, live));
  }

  /** A worker that stops, or died a moment ago, may still hold the job: then it cannot be taken back yet. */
  async #takeBack(sent: SentCall, pool: string): Promise<boolean> {
    sent.isPlacing = true;
    try {
      sent.stood = await jobOf(pool, sent.envelope.key, this.#options);
      if (!(await this.#options.queues.withdraw(pool, sent.envelope))) return false;
      sent.envelope = { ...sent.envelope, takeover: true };
      sent.pool = undefined;
      return true;
    } finally {
      sent.isPlacing = false;
    }
  }

  /** The dispatcher's own word on a call: holds unless a worker was first. */
  #settle(sent: SentCall, error: OutcomeError): void {
    const { ledger, gather, queues, clock, ledgerTtlMs, lines } = this.#options;
    const { envelope } = sent;
    const settle = async (tell: (settled: Outcome) => void): Promise<void> => {
      const stood = await howItStood(sent, error.code, this.#options);
      const outcome = { ...outcomeHere(envelope, error, sent.traceId), ...stood };
      const ttlMs = Math.max(0, envelope.deadlineAt - clock.now()) + ledgerTtlMs;
      const run = sent.fence === undefined ? undefined : { id: envelope.runId, fence: sent.fence };
      const event = run && finishedEvent(outcome);
      const settled = await ledger.settle({ outcome, text: JSON.stringify(outcome), ttlMs, replyTo: '', run, event })
        .done;
      if (settled.kind === 'stale') return sent.lose(new HoldEnd('stale'));
      if (settled.kind === 'written') lines.ended(outcome, envelope);
      tell(settled.outcome);
      gather.settle(settled.outcome);
      if (sent.pool !== undefined) await queues.withdraw(sent.pool, envelope);
    };
    inSettleSpan(envelope, error.code, sent.carrier, settle).catch((failure: unknown) =>
      lines.failed('call.not_settled', failure, sent),
    );
  }
}

function expectationOf({ takeover, hold }: RunFrame): Expectation {
  if (!takeover) return 'new';
  return hold ? 'taken-over' : 'attached';
}

/** The answer to a call that is not sent. */
function answerHere(envelope: Envelope, error: OutcomeError): Outcome {
  const outcome = outcomeHere(envelope, error);
  tellRefused(envelope, outcome);
  return outcome;
}
