import { createHmac } from 'node:crypto';
import {
  context,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Link,
  type Span,
} from '@opentelemetry/api';
import type { Envelope, Wait } from './call.ts';
import type { Principal } from './principal.ts';
import type { Attribute } from './telemetry-names.ts';

const tracer = trace.getTracer('callyard');

/** A job that waited longer begins a trace of its own: backends cut traces that last. */
const newTraceAfterMs = 15 * 60_000;

/** Longest argument, result or error text on a span, in characters. */
const maxText = 4_096;

interface Settings {
  userHashSecret: string;
  captureContent: boolean;
  redact: (value: unknown) => unknown;
}

let settings: Settings = { userHashSecret: '', captureContent: false, redact: (value) => value };

/** What spans may say of users and content; by default nothing. */
export function configureTelemetry(given: Settings): void {
  settings = given;
}

type Facts = Partial<Record<Attribute, string | number | string[] | undefined>>;

/** The trace that is going on, sampled or not; undefined without an SDK. */
export function activeTraceId(): string | undefined {
  const spanContext = trace.getActiveSpan()?.spanContext();
  return spanContext && isSpanContextValid(spanContext) ? spanContext.traceId : undefined;
}

/** One run: `describe` takes its result. */
export function inAgentSpan<T>(
  run: { runId: string; conversationId: string | undefined; model: string; provider: string; principal: Principal },
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
  return inSpan('invoke_agent callyard', SpanKind.INTERNAL, facts, (span) => {
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
  });
}

export interface AgentEnd {
  state: string;
  stop: string;
  error?: string | undefined;
  usage: { inputTokens: number; outputTokens: number };
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
  end(queue: string | undefined): void;
}

export function startSendSpan(envelope: Envelope): SendSpan {
  const facts: Facts = { ...callFacts(envelope), 'messaging.operation.name': 'add', 'messaging.operation.type': 'send' };
  const span = tracer.startSpan('send calls', { kind: SpanKind.PRODUCER, attributes: facts });
  const carrier: Record<string, string> = {};
  propagation.inject(trace.setSpan(context.active(), span), carrier);
  return {
    carrier: carrier.traceparent === undefined ? undefined : JSON.stringify(carrier),
    end(queue) {
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
}

/**
 * One pick-up of a call: child of its `send` span and linked to it, as messaging conventions have it for single
 * messages. A refused call is an answer to the model, not a fault of the system, so only failed ones are ERROR.
 */
export function inProcessSpan<T>(pickUp: PickUp, work: (describe: (end: PickUpEnd) => void) => Promise<T>): Promise<T> {
  const { envelope, waits, metadata, ageMs } = pickUp;
  const sent = extract(metadata);
  const sentContext = trace.getSpanContext(sent);
  const lastWait = waits.at(-1);
  const facts: Facts = {
    ...callFacts(envelope),
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': pickUp.queue,
    'messaging.client.id': pickUp.worker,
    'callyard.attempt': pickUp.attempt,
    'callyard.lost': pickUp.lost,
    'callyard.wait.reason': lastWait?.reason,
    'callyard.wait.ms': lastWait?.ms,
  };
  const parent = ageMs > newTraceAfterMs ? ROOT_CONTEXT : sent;
  const links = sentContext ? [{ context: sentContext }] : [];
  return inSpan(
    'process calls',
    SpanKind.CONSUMER,
    facts,
    (span) => {
      nameUser(span, envelope.principal);
      return work(({ outcome, error }) => {
        setFacts(span, { 'callyard.outcome': outcome, 'error.type': error?.code });
        if (error && (outcome === 'failed' || outcome === 'retry')) fail(span, error.code, error.message);
      });
    },
    { parent, links },
  );
}

/** One attempt of a handler. */
export function inToolSpan<T>(call: { envelope: Envelope; tool: string; args: unknown }, work: () => Promise<T>): Promise<T> {
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

async function inSpan<T>(
  name: string,
  kind: SpanKind,
  facts: Facts,
  work: (span: Span) => Promise<T>,
  { parent = context.active(), links = [] as Link[] } = {},
): Promise<T> {
  const span = tracer.startSpan(name, { kind, attributes: facts, links }, parent);
  try {
    return await context.with(trace.setSpan(parent, span), work, undefined, span);
  } catch (error) {
    if (span.isRecording()) recordThrown(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** Handlers throw anything, also what cannot be read; a span must not change what is thrown. */
function recordThrown(span: Span, thrown: unknown): void {
  try {
    fail(span, typeOf(thrown), thrown instanceof Error ? thrown.message : String(thrown));
  } catch {
    fail(span, '_OTHER', 'thrown, and cannot be read');
  }
}

/** A code where the error has one, else an HTTP status, else its class. */
function typeOf(thrown: unknown): string {
  const { code, status, name } = Object(thrown) as Record<string, unknown>;
  if (typeof code === 'string' && code !== '') return code;
  if (typeof status === 'number') return String(status);
  return typeof name === 'string' && name !== '' ? name : '_OTHER';
}

function fail(span: Span, type: string, message: string): void {
  if (!span.isRecording()) return;
  const text = String(settings.redact(message)).slice(0, maxText);
  span.recordException({ name: type, message: text });
  span.setAttribute('error.type' satisfies Attribute, type);
  span.setStatus({ code: SpanStatusCode.ERROR, message: text });
}

function setFacts(span: Span, facts: Facts): void {
  if (span.isRecording()) span.setAttributes(facts);
}

function capture(span: Span, attribute: Attribute, value: unknown): void {
  if (!settings.captureContent || !span.isRecording()) return;
  try {
    const text = JSON.stringify(settings.redact(JSON.parse(JSON.stringify(value ?? null))));
    span.setAttribute(attribute, text.slice(0, maxText));
  } catch {
    // What is not JSON is refused where it matters; a span can do without it.
  }
}

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

/** Not the id, which is personal, and only where it is recorded: an HMAC costs more than a span that is not. */
function nameUser(span: Span, { owner, userId }: Principal): void {
  const { userHashSecret } = settings;
  if (userHashSecret === '' || !span.isRecording()) return;
  const hash = createHmac('sha256', userHashSecret).update(`${owner}\n${userId}`).digest('hex').slice(0, 32);
  span.setAttribute('user.hash' satisfies Attribute, hash);
}
