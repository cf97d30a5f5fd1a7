import {
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  trace,
  type Context,
} from '@opentelemetry/api';
import type { Degraded, Envelope, Wait } from './call.ts';
import type { Principal } from './principal.ts';
import { capture, fail, inSpan, isUnsampled, nameUser, setFacts, tracer, type Facts } from './telemetry-span.ts';

export { activeTraceId, configureTelemetry } from './telemetry-span.ts';

/** A job that waited longer begins a trace of its own: backends cut traces that last. */
const newTraceAfterMs = 15 * 60_000;

/** The submit of a durable run: exported at once, so that whatever drives it later has something to hang on. */
export function inSubmitSpan<T>(
  run: { runId: string; conversationId: string | undefined; principal: Principal },
  work: (context: { carrier: string | undefined; traceId: string | undefined }) => Promise<T>,
): Promise<T> {
  const facts: Facts = { 'callyard.run.id': run.runId, 'gen_ai.conversation.id': run.conversationId };
  return inSpan('submit run', SpanKind.PRODUCER, facts, (span) => {
    nameUser(span, run.principal);
    return work(carried(context.active()));
  });
}

/** One run, or one hold of a durable run, whose submit is `carrier`: `describe` takes its result. */
export function inAgentSpan<T>(
  run: {
    runId: string;
    conversationId: string | undefined;
    model: string;
    provider: string;
    principal: Principal;
    carrier?: string | undefined;
  },
  work: (describe: (end: AgentEnd) => void) => Promise<T>,
): Promise<T> {
  const facts: Facts = {
    'gen_ai.operation.name': 'invoke_agent',
    'gen_ai.agent.name': 'callyard',
    'gen_ai.provider.name': run.provider,
    'gen_ai.request.model': run.model,
    'gen_ai.conversation.id': run.conversationId,
    'callyard.run.id': run.runId,
  };
  const under = run.carrier === undefined ? {} : { parent: extract(run.carrier) };
  return inSpan(
    'invoke_agent callyard',
    SpanKind.INTERNAL,
    facts,
    (span) => {
      nameUser(span, run.principal);
      return work(({ state, stop, usage, error }) => {
        setFacts(span, {
          'callyard.run.state': state,
          'callyard.run.stop': stop,
          'gen_ai.usage.input_tokens': usage.inputTokens,
          'gen_ai.usage.output_tokens': usage.outputTokens,
        });
        if (state === 'failed' || state === 'expired') fail(span, stop, error ?? stop);
      });
    },
    under,
  );
}

export interface AgentEnd {
  state: string;
  stop: string;
  error?: string | undefined;
  usage: { inputTokens: number; outputTokens: number };
}

/** The calls of somebody else's loop, which may have no span of its own to hang them on. */
export function inCallsSpan<T>(
  { runId, conversationId }: { runId: string; conversationId: string | undefined },
  work: () => Promise<T>,
): Promise<T> {
  const facts: Facts = { 'callyard.run.id': runId, 'gen_ai.conversation.id': conversationId };
  return inSpan('execute calls', SpanKind.INTERNAL, facts, work);
}

/** One question to the model: `describe` takes its answer. */
export function inChatSpan<T>(
  chat: { model: string; provider: string; conversationId: string | undefined; runId: string },
  work: (describe: (answer: ChatAnswer) => void) => Promise<T>,
): Promise<T> {
  const facts: Facts = {
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': chat.provider,
    'gen_ai.request.model': chat.model,
    'gen_ai.conversation.id': chat.conversationId,
    'callyard.run.id': chat.runId,
  };
  return inSpan(`chat ${chat.model}`, SpanKind.CLIENT, facts, (span) =>
    work(({ id, model, stop, usage }) =>
      setFacts(span, {
        'gen_ai.response.id': id,
        'gen_ai.response.model': model,
        'gen_ai.response.finish_reasons': [finishReasons[stop]],
        'gen_ai.usage.input_tokens': usage.inputTokens,
        'gen_ai.usage.output_tokens': usage.outputTokens,
      }),
    ),
  );
}

/** Our words for the end of a response, in those that dashboards know. */
const finishReasons = { answer: 'stop', calls: 'tool_calls', length: 'length', filtered: 'content_filter' } as const;

export interface ChatAnswer {
  id?: string;
  model?: string;
  stop: keyof typeof finishReasons;
  usage: { inputTokens: number; outputTokens: number };
}

/** One call on its way into its queue. Its context is what the worker's spans hang on. */
export interface SendSpan {
  /** the context as BullMQ carries it, in `opts.telemetry.metadata`; undefined where nothing traces */
  readonly carrier: string | undefined;
  readonly traceId: string | undefined;
  end(queue: string | undefined): void;
}

/** A retry begins a trace of its own, linked to that of the call it repeats, whose context is `repeats`. */
export function startSendSpan(envelope: Envelope, repeats?: string): SendSpan {
  const active = envelope.replayOf === undefined ? context.active() : ROOT_CONTEXT;
  if (isUnsampled(active)) return { ...carried(active), end() {} };
  const facts: Facts = {
    ...callFacts(envelope),
    'messaging.operation.name': 'send',
    'messaging.operation.type': 'send',
  };
  const repeated = trace.getSpanContext(extract(repeats));
  const links = repeated ? [{ context: repeated }] : [];
  const span = tracer.startSpan('send calls', { kind: SpanKind.PRODUCER, attributes: facts, links }, active);
  return {
    ...carried(trace.setSpan(active, span)),
    end(queue) {
      setFacts(span, { 'messaging.destination.name': queue });
      span.end();
    },
  };
}

/** A context as it travels. */
function carried(at: Context): Pick<SendSpan, 'carrier' | 'traceId'> {
  const carrier: Record<string, string> = {};
  propagation.inject(at, carrier);
  const spanContext = trace.getSpanContext(at);
  return {
    carrier: carrier.traceparent === undefined ? undefined : JSON.stringify(carrier),
    traceId: spanContext && isSpanContextValid(spanContext) ? spanContext.traceId : undefined,
  };
}

export interface PickUp {
  envelope: Envelope;
  queue: string;
  worker: string;
  attempt: number;
  lost: number;
  waits: readonly Wait[];
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
 * One pick-up of a call: child of its `send` span and linked to it, as messaging conventions have it for single
 * messages. A refused call is an answer to the model, not a fault of the system, so only failed ones are ERROR.
 */
export function inProcessSpan<T>(pickUp: PickUp, work: (describe: (end: PickUpEnd) => void) => Promise<T>): Promise<T> {
  const { envelope, waits, metadata, ageMs } = pickUp;
  const sent = extract(metadata);
  const sentContext = trace.getSpanContext(sent);
  const wait = waitEnded(waits);
  const facts: Facts = {
    ...callFacts(envelope),
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': pickUp.queue,
    'messaging.client.id': pickUp.worker,
    'callyard.attempt': pickUp.attempt,
    'callyard.lost': pickUp.lost,
    'callyard.wait.reason': wait?.reason,
    'callyard.wait.ms': wait?.ms,
  };
  const parent = ageMs > newTraceAfterMs ? ROOT_CONTEXT : sent;
  const links = sentContext ? [{ context: sentContext }] : [];
  return inSpan(
    'process calls',
    SpanKind.CONSUMER,
    facts,
    (span) => {
      nameUser(span, envelope.principal);
      return work(({ outcome, error, degraded }) => {
        setFacts(span, {
          'callyard.outcome': outcome,
          'callyard.degraded.why': degraded?.why,
          'callyard.degraded.by': degraded?.by,
          'error.type': error?.code,
        });
        if (error && (outcome === 'failed' || outcome === 'retry')) fail(span, error.code, error.message);
      });
    },
    { parent, links },
  );
}

/** What a call waited for before this pick-up: admission and then a slot are two waits, of which the longer tells more. */
function waitEnded(waits: readonly Wait[]): Wait | undefined {
  const [before, last] = waits.length > 1 ? waits.slice(-2) : [undefined, waits[0]];
  return before && last?.reason === 'queue' && before.ms > last.ms ? before : last;
}

/** One attempt of a handler. */
export function inToolSpan<T>(
  call: { envelope: Envelope; tool: string; args: unknown },
  work: () => Promise<T>,
): Promise<T> {
  const facts: Facts = {
    'gen_ai.operation.name': 'execute_tool',
    'gen_ai.tool.name': call.tool,
    'gen_ai.tool.type': 'function',
    'gen_ai.tool.call.id': call.envelope.call.id || undefined,
    'gen_ai.conversation.id': call.envelope.conversationId,
    'messaging.message.id': call.envelope.key,
  };
  return inSpan(`execute_tool ${call.tool}`, SpanKind.INTERNAL, facts, async (span) => {
    capture(span, 'gen_ai.tool.call.arguments', call.args);
    const result = await work();
    capture(span, 'gen_ai.tool.call.result', result);
    return result;
  });
}

const callFacts = ({ key, runId, call, tool, conversationId }: Envelope): Facts => ({
  'messaging.system.name': 'bullmq',
  'messaging.message.id': key,
  'gen_ai.tool.name': tool.name,
  'gen_ai.tool.call.id': call.id || undefined,
  'gen_ai.conversation.id': conversationId,
  'callyard.run.id': runId,
});

/** What came with a job is taken for a context only if it is one. */
function extract(metadata: string | undefined) {
  if (metadata === undefined) return ROOT_CONTEXT;
  try {
    const carrier: unknown = JSON.parse(metadata);
    return typeof carrier === 'object' && carrier !== null ? propagation.extract(ROOT_CONTEXT, carrier) : ROOT_CONTEXT;
  } catch {
    return ROOT_CONTEXT;
  }
}
