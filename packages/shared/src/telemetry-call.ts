import { context, ROOT_CONTEXT, SpanKind, trace, type Span } from '@opentelemetry/api';
import type { Degraded, Envelope, Outcome, Wait } from './call.ts';
import { otherTool } from './call-metrics.ts';
import { failures, type FailureCode } from './failure.ts';
import { carried, extract, linksTo, spanContextOf, type Carried } from './telemetry-context.ts';
import type { SpanEvent } from './telemetry-names.ts';
import {
  capture,
  fail,
  hashOfUser,
  inSpan,
  isUnsampled,
  nameUser,
  setFacts,
  startSpan,
  type Facts,
} from './telemetry-span.ts';

/** A job that waited longer begins a trace of its own: backends cut traces that last. */
const newTraceAfterMs = 15 * 60_000;

/** One call on its way into its queue. Its context is what the worker's spans hang on. */
export interface SendSpan extends Carried {
  /** At the first time it is told where the call is; `unservedMs` where nobody was there to serve it. */
  end(queue: string | undefined, unservedMs?: number): void;
}

/** What a call came from: the question whose answer proposed it, or the call that it repeats. */
export interface SentAfter {
  /** what it hangs on where nothing is traced here, though its caller and its worker may be */
  run?: string | undefined;
  chat?: string | undefined;
  repeats?: string | undefined;
}

/** A retry begins a trace of its own, linked to that of the call it repeats. */
export function startSendSpan(envelope: Envelope, { run, chat, repeats }: SentAfter = {}): SendSpan {
  const around = context.active();
  const here = spanContextOf(around) ? around : extract(run);
  const active = envelope.replayOf === undefined ? here : ROOT_CONTEXT;
  if (isUnsampled(active)) return { ...carried(active), end() {} };
  const facts: Facts = {
    ...callFacts(envelope),
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
  };
  const links = [...linksTo(chat), ...linksTo(repeats)];
  const span = startSpan('send calls', SpanKind.PRODUCER, facts, { parent: active, links });
  nameUser(span, envelope.principal);
  return {
    ...carried(trace.setSpan(active, span)),
    end(queue, unservedMs = 0) {
      if (!span.isRecording()) return;
      if (unservedMs > 0) tellWait(span, { reason: 'no_worker', ms: unservedMs });
      setFacts(span, { 'messaging.destination.name': queue });
      span.end();
    },
  };
}

export interface PickUp {
  envelope: Envelope;
  queue: string;
  worker: string;
  attempt: number;
  lost: number;
  /** those that this pick-up ends */
  ended: readonly Wait[];
  /** where it stood, if admission had it wait */
  lane: string | undefined;
  /** since the call was enqueued */
  ageMs: number;
  /** what came with the job; anybody may have written it */
  metadata: string | undefined;
}

/** How a pick-up ended, for its span. */
export interface PickUpEnd {
  outcome: string;
  error?: { code: string; message: string } | undefined;
  degraded?: Degraded | undefined;
}

/**
 * One pick-up of a call: child of its `send` span, as messaging conventions allow for single messages. They would have
 * it linked as well, but Jaeger 2.20 then no longer knows it as a child. A refused call is an answer to the model, not a
 * fault of the system, so only failed ones are ERROR.
 */
export function inProcessSpan<T>(pickUp: PickUp, work: (describe: (end: PickUpEnd) => void) => Promise<T>): Promise<T> {
  const { envelope, metadata, ageMs } = pickUp;
  const isOld = ageMs > newTraceAfterMs;
  const under = isOld ? { parent: ROOT_CONTEXT, links: linksTo(metadata) } : { parent: extract(metadata) };
  return inSpan(
    'process calls',
    SpanKind.CONSUMER,
    pickUpFacts(pickUp),
    (span) => {
      nameUser(span, envelope.principal);
      if (span.isRecording()) for (const wait of pickUp.ended) tellWait(span, wait);
      return work((end) => describePickUp(span, end));
    },
    under,
  );
}

function pickUpFacts({ envelope, queue, worker, attempt, lost, ended, lane }: PickUp): Facts {
  const longest = ended.length === 0 ? undefined : ended.reduce((most, wait) => (wait.ms > most.ms ? wait : most));
  return {
    ...callFacts(envelope),
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': queue,
    'messaging.client.id': worker,
    'callyard.attempt': attempt,
    'callyard.lost': lost,
    'callyard.class': envelope.class,
    'callyard.lane': lane,
    ...(longest && waitFacts(longest)),
  };
}

function describePickUp(span: Span, { outcome, error, degraded }: PickUpEnd): void {
  setFacts(span, {
    'callyard.outcome': outcome,
    'callyard.degraded.why': degraded?.why,
    'callyard.degraded.by': degraded?.by,
    'error.type': error?.code,
  });
  if (error && (outcome === 'failed' || outcome === 'retry')) fail(span, error.code, error.message);
}

const waitFacts = ({ reason, ms, per, bucket }: Wait): Facts => ({
  'callyard.wait.reason': reason,
  'callyard.wait.ms': ms,
  'callyard.wait.per': per,
  'callyard.wait.bucket': bucket,
});

function tellWait(span: Span, wait: Wait): void {
  addEvent(span, 'callyard.wait', waitFacts(wait));
}

const addEvent = (span: Span, name: SpanEvent, facts: Facts): void => {
  const given = Object.entries(facts).filter(([, value]) => value !== undefined);
  span.addEvent(name, Object.fromEntries(given));
};

/** On the pick-up that is going on: a person was asked, or has decided; who, only as a hash. */
export function tellApproval(said: 'asked' | { approved: boolean; owner: string; userId: string }): void {
  const span = trace.getActiveSpan();
  if (!span?.isRecording()) return;
  if (said === 'asked') return addEvent(span, 'callyard.approval.asked', {});
  const { approved, ...by } = said;
  addEvent(span, 'callyard.approval.decided', { 'callyard.approved': approved, 'user.hash': hashOfUser(by) });
}

/** The dispatcher's own word on a call that it has sent. It hangs on the `send` span, as timers know of no trace. */
export function inSettleSpan<T>(
  envelope: Envelope,
  code: FailureCode,
  carrier: string | undefined,
  work: (settled: (outcome: Outcome) => void) => Promise<T>,
): Promise<T> {
  return inSpan(
    'settle calls',
    SpanKind.CLIENT,
    settleFacts(envelope),
    (span) => {
      nameUser(span, envelope.principal);
      return work(({ status, error, settledBy }) => {
        setFacts(span, { 'callyard.outcome': status, 'error.type': error?.code });
        if (status === 'failed' && settledBy === 'dispatcher') fail(span, code, failures[code].forModel);
      });
    },
    { parent: extract(carrier) },
  );
}

/** A call that the dispatcher answered without sending it. */
export function tellRefused(envelope: Envelope, { status, error }: Pick<Outcome, 'status' | 'error'>): void {
  if (isUnsampled(context.active())) return;
  const facts: Facts = { ...settleFacts(envelope), 'callyard.outcome': status, 'error.type': error?.code };
  const span = startSpan('settle calls', SpanKind.CLIENT, facts);
  nameUser(span, envelope.principal);
  if (status === 'failed' && error) fail(span, error.code, error.message);
  span.end();
}

const settleFacts = (envelope: Envelope): Facts => ({
  ...callFacts(envelope),
  'messaging.operation.name': 'settle',
  'messaging.operation.type': 'settle',
});

/** One attempt of a handler. */
export function inToolSpan<T>(
  call: { envelope: Envelope; tool: string; args: unknown },
  work: () => Promise<T>,
): Promise<T> {
  const { envelope, tool } = call;
  const facts: Facts = {
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': tool,
    'gen_ai.tool.type': 'function',
    'gen_ai.tool.call.id': idOf(envelope),
    'gen_ai.conversation.id': envelope.conversationId,
    'messaging.message.id': envelope.key,
    'callyard.run.id': envelope.runId,
  };
  return inSpan(`execute_tool ${tool}`, SpanKind.INTERNAL, facts, async (span) => {
    nameUser(span, envelope.principal);
    capture(span, 'gen_ai.tool.call.arguments', call.args);
    const result = await work();
    capture(span, 'gen_ai.tool.call.result', result);
    return result;
  });
}

function callFacts(envelope: Envelope): Facts {
  const { key, runId, tool, conversationId } = envelope;
  return {
    'messaging.system.name': 'bullmq',
    'messaging.message.id': key,
    'gen_ai.tool.name': isOffered(envelope) ? tool.name : otherTool, // names that a model thinks of are endless
    'gen_ai.tool.call.id': idOf(envelope),
    'gen_ai.conversation.id': conversationId,
    'callyard.run.id': runId,
  };
}

/** What the model was not offered has no version. */
const isOffered = ({ tool }: Envelope): boolean => tool.version !== '';

/** Providers write ids of some 30 characters; what else a server or a model writes there is cut. */
const maxId = 256;
const idOf = ({ call }: Envelope): string | undefined => call.id.slice(0, maxId) || undefined;
