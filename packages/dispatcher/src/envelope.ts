import { callKey, failureOutcome, type Envelope, type Outcome, type OutcomeError } from '@callyard/shared/call';
import type { Principal } from '@callyard/shared/principal';
import { activeTraceId } from '@callyard/shared/telemetry';
import { admissionFields, type LimitOptions } from './call-limits.ts';
import type { Gathering } from './gathering.ts';
import type { ProposedCall } from './read-calls.ts';

/** What the calls of a run have in common. */
export interface RunFrame {
  runId: string;
  conversationId: string | undefined;
  principal: Principal;
  class: Envelope['class'];
  deadlineAt: number;
  /** set where the keys may have been used before: the ledger is asked first */
  takeover: boolean;
  /** set for a run that another dispatcher could go on with */
  hold?: Hold;
  /** aborts with `RunOver` at the deadline or at a cancel */
  signal: AbortSignal;
  /** the context of the question whose answer proposed the calls */
  chat?: string | undefined;
  /** the trace that the run belongs to, should nothing be traced here */
  carrier?: string | undefined;
  /** what the turn of the calls waits for */
  gathering?: Gathering;
}

/** What a dispatcher has of a durable run while it drives it. */
export interface Hold {
  fence: string;
  /** aborts when this dispatcher is to go no further: nothing is settled then, somebody else goes on */
  leave: AbortSignal;
  /** Throws where that has happened, or must have: a process that was stopped for long finds its lock has lapsed. */
  assertOurs(): void;
  /** The run turned out to be cancelled, though nobody has told this dispatcher. */
  cancel(): void;
  /** where the calls of a turn that was taken over were enqueued, by index */
  sentTo?: ReadonlyMap<number, string>;
  /** whether somebody reads the events of the run */
  isWatched(): boolean;
}

/** Writes the job data of a call. A call that is refused at once has an envelope too, for its outcome. */
export function envelopeOf(
  frame: RunFrame,
  { turn, index, of }: Pick<Envelope, 'turn' | 'index' | 'of'>,
  proposed: ProposedCall,
  sending: Pick<Envelope, 'replyTo' | 'enqueuedAt'>,
  limits: LimitOptions,
): Envelope {
  const { runId, conversationId, principal, deadlineAt, takeover, hold } = frame;
  const { id, function: call } = proposed.call;
  const key = callKey({ runId, turn, index });
  const tool = 'tool' in proposed ? proposed.tool : undefined;
  return {
    v: 1,
    key,
    of,
    runId,
    turn,
    index,
    ...(conversationId === undefined ? {} : { conversationId }),
    owner: principal.owner,
    principal,
    call: { id, name: call.name, arguments: call.arguments },
    tool: {
      name: call.name,
      version: tool?.manifest.version ?? '',
      range: tool?.range ?? '',
      schemaHash: tool?.manifest.schemaHash ?? '',
    },
    class: frame.class,
    ...(tool ? admissionFields(tool.manifest, principal, call.arguments, limits) : { limits: [] }),
    idempotencyKey: key,
    ...(takeover ? { takeover } : {}),
    ...(hold ? { durable: true } : {}),
    ...(hold?.isWatched() ? { watched: true } : {}),
    deadlineAt,
    ...sending,
  };
}

/** An outcome written by the dispatcher: the call never reached a worker, or nobody waits for it any more. */
export function outcomeHere(envelope: Envelope, error: OutcomeError, traceId = activeTraceId()): Outcome {
  return {
    v: 1,
    key: envelope.key,
    call: { id: envelope.call.id, name: envelope.call.name },
    tool: { name: envelope.tool.name, version: envelope.tool.version },
    ...failureOutcome(error),
    attempts: 0,
    lost: 0,
    settledBy: 'dispatcher',
    enqueuedAt: envelope.enqueuedAt,
    waits: [],
    ...(traceId === undefined ? {} : { traceId }),
  };
}
