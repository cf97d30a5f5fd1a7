/*
 * Words, used everywhere the same:
 *
 * tool         a function a model may call: a manifest and a handler
 * pool         the workers that serve the same tools
 * principal    on whose behalf: owner, user, roles, permissions
 * conversation the messages; its id is given by the caller and belongs to its owner
 * run          one drive of a conversation until the model answers without a call, or a limit ends it
 * turn         one model response and the outcomes of the calls in it
 * call         one tool call of a turn; its key is `runId.turn.index`
 * job          the BullMQ job that carries a call; its id is the call key
 * attempt      one execution of the handler
 * outcome      the one result of a call: completed, failed, refused or cancelled
 * ledger       where outcomes are written, once each
 * admission    the decision that a call may start now, must wait, or is refused
 * lane         the line in which the waiting calls of one user stand, in one pool and class and under the same limits
 */
import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { failureCodes, failures, type FailureCode } from './failure.ts';
import { ResolvedLimit } from './admission/resolved-limit.ts';
import { Principal } from './principal.ts';

/** What a process needs to know of a call's place in a run. */
export interface CallPlace {
  runId: string;
  turn: number;
  index: number;
}

/** The key of a call, which is also its job id. BullMQ refuses `:` and bare integers; a run id has neither. */
export const callKey = ({ runId, turn, index }: CallPlace): string => `${runId}.${turn}.${index}`;

/** The run that a call belongs to. */
export const runIdOf = (key: string): string => key.slice(0, key.lastIndexOf('.', key.lastIndexOf('.') - 1));

/** Run ids and caller's keys: what BullMQ, Redis keys and file names all take. */
export const runIdPattern = /^(?!\d+$)[A-Za-z0-9_-]{1,128}$/;

/** Longest id of a conversation, in characters. */
export const maxConversationId = 256;

const Text = (maxLength: number) => Type.String({ maxLength });
const Time = Type.Integer({ minimum: 0, description: 'milliseconds since 1970 on the clock of Redis' });

export const ToolRef = Type.Object({
  name: Text(128),
  version: Text(64),
  range: Type.String({ maxLength: 128, description: 'the semver range that may run it, default ^version' }),
  schemaHash: Text(64),
});
export type ToolRef = Type.Static<typeof ToolRef>;

/** Present where the call is admitted through a lane. */
const Lane = Type.Object({
  weight: Type.Number({ exclusiveMinimum: 0, description: 'share of its user against those of others' }),
  upstream: Type.String({ maxLength: 64, description: 'the bucket that a `Retry-After` blocks' }),
  cacheId: Type.Optional(Type.String({ maxLength: 256, description: 'where its result is kept, if it may be' })),
});

/** Envelope v1: the data of a job. Unknown fields are ignored; what a worker must understand raises `v`. */
export const Envelope = Type.Object({
  v: Type.Literal(1),
  key: Text(256),
  of: Type.Integer({ minimum: 1, description: 'how many calls the turn holds' }),
  runId: Text(128),
  turn: Type.Integer({ minimum: 0 }),
  index: Type.Integer({ minimum: 0 }),
  conversationId: Type.Optional(Text(maxConversationId)),
  owner: Text(256),
  principal: Principal,
  call: Type.Object({
    id: Type.String({ description: "the provider's id; it repeats, so nothing is found by it" }),
    name: Text(256),
    arguments: Type.String({ description: 'the text the model wrote' }),
  }),
  tool: ToolRef,
  class: Type.Union([Type.Literal('interactive'), Type.Literal('batch')]),
  limits: Type.Array(ResolvedLimit, { description: 'the limits that apply, resolved for this call' }),
  lane: Type.Optional(Lane),
  idempotencyKey: Text(256),
  replayOf: Type.Optional(Text(256)),
  takeover: Type.Optional(Type.Boolean({ description: 'the key may be settled already: ask the ledger first' })),
  durable: Type.Optional(Type.Boolean({ description: 'of a durable run: whoever holds that is told of the outcome' })),
  watched: Type.Optional(Type.Boolean({ description: 'somebody reads the events of the run' })),
  unservedMs: Type.Optional(Type.Integer({ minimum: 0, description: 'no worker served its tool for this long' })),
  deadlineAt: Time,
  replyTo: Type.String({ maxLength: 128, description: 'the dispatcher whose channel gets the notice' }),
  enqueuedAt: Time,
});
export type Envelope = Type.Static<typeof Envelope>;

export const statuses = ['completed', 'failed', 'refused', 'cancelled'] as const;
export type Status = (typeof statuses)[number];

export const OutcomeError = Type.Object({
  code: Type.Union(failureCodes.map((code) => Type.Literal(code))),
  message: Type.String(),
  suggestion: Type.Optional(Type.String()),
  details: Type.Optional(Type.Unknown()),
  retryAfterMs: Type.Optional(Type.Number()),
});
export type OutcomeError = Omit<Type.Static<typeof OutcomeError>, 'code'> & { code: FailureCode };

/** Why a call did not run yet, and for how long. */
export interface Wait {
  reason:
    | 'queue'
    | 'retry'
    | 'retry_after'
    | 'shutdown'
    | 'rate'
    | 'concurrency'
    | 'share'
    | 'same_call'
    | 'approval'
    | 'lost'
    | 'no_worker';
  ms: number;
  /** of a limit: what its bucket is for each of, such as `user` or `user,tool`; `all` where it is everybody's */
  per?: string;
  /** of a limit: its bucket */
  bucket?: string;
}

/** An attempt that failed, and was followed by another. */
export interface FailedAttempt {
  attempt: number;
  code: FailureCode;
  /** redacted, and cut */
  message: string;
  worker: string;
  /** when it ended, in Redis time */
  at: number;
}

/** What stands in for the value of a tool that failed, and the code it would have ended in. */
export interface Degraded {
  why: FailureCode;
  by: 'handler' | 'tool' | 'stale';
}

/** Outcome v1: the one result of a call, as the ledger keeps it. */
export interface Outcome {
  v: 1;
  key: string;
  call: { id: string; name: string };
  tool: { name: string; version: string };
  status: Status;
  /** JSON, present when completed */
  value?: unknown;
  /** present unless completed */
  error?: OutcomeError;
  /** executions of the handler that counted */
  attempts: number;
  /** how often a worker died or lost its lock while it held the call */
  lost: number;
  settledBy: 'worker' | 'dispatcher';
  cached?: boolean;
  /** the tool failed; the value is that of something else */
  degraded?: Degraded;
  enqueuedAt: number;
  startedAt?: number;
  /** of the last attempt */
  durationMs?: number;
  /** when its dispatcher ended it, in Redis time */
  endedAt?: number;
  waits: Wait[];
  /** attempts before the last, the latest of them where there were many */
  failedAttempts?: FailedAttempt[];
  worker?: string;
  traceId?: string;
}

const OutcomeShape = Type.Object({
  v: Type.Literal(1),
  key: Text(256),
  call: Type.Object({ id: Type.String(), name: Type.String() }),
  tool: Type.Object({ name: Type.String(), version: Type.String() }),
  status: Type.Union(statuses.map((status) => Type.Literal(status))),
  value: Type.Optional(Type.Unknown()),
  error: Type.Optional(OutcomeError),
  attempts: Type.Integer({ minimum: 0 }),
  lost: Type.Integer({ minimum: 0 }),
  settledBy: Type.Union([Type.Literal('worker'), Type.Literal('dispatcher')]),
  enqueuedAt: Time,
  waits: Type.Array(Type.Object({ reason: Type.String(), ms: Type.Number() })),
});

const envelopes = Compile(Envelope);
const outcomes = Compile(OutcomeShape);

/** `too-new` is handed back to a worker that understands it; `broken` can never run. */
export type ParsedEnvelope =
  | { kind: 'ok'; envelope: Envelope }
  | { kind: 'too-new'; v: number }
  | { kind: 'broken'; why: string };

export function parseEnvelope(data: unknown): ParsedEnvelope {
  if (envelopes.Check(data)) return { kind: 'ok', envelope: data };
  const v = typeof data === 'object' && data !== null && 'v' in data ? data.v : undefined;
  if (typeof v === 'number' && v > 1) return { kind: 'too-new', v };
  const first = envelopes.Errors(data)[0];
  return { kind: 'broken', why: `envelope${first?.instancePath ?? ''}: ${first?.message ?? 'not an object'}` };
}

export function parseOutcome(text: string): Outcome {
  const data: unknown = JSON.parse(text);
  if (outcomes.Check(data)) return data as Outcome;
  const first = outcomes.Errors(data)[0];
  throw new Error(`outcome${first?.instancePath ?? ''}: ${first?.message ?? 'not an object'}`);
}

/** The status and error part of an outcome that did not complete. */
export function failureOutcome(error: OutcomeError): Pick<Outcome, 'status' | 'error'> {
  return { status: failures[error.code].status, error };
}
