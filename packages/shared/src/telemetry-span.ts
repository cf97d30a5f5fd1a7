import { createHmac } from 'node:crypto';
import {
  context,
  INVALID_SPAN_CONTEXT,
  isSpanContextValid,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Link,
  type Span,
  type SpanKind,
} from '@opentelemetry/api';
import type { Principal } from './principal.ts';
import type { Attribute } from './telemetry-names.ts';

export const tracer = trace.getTracer('callyard');

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

export type Facts = Partial<Record<Attribute, string | number | string[] | undefined>>;

/** The trace that is going on, sampled or not; undefined without an SDK. */
export function activeTraceId(): string | undefined {
  const spanContext = trace.getActiveSpan()?.spanContext();
  return spanContext && isSpanContextValid(spanContext) ? spanContext.traceId : undefined;
}

/** A bit among the flags, which are a number. */
const sampled: number = TraceFlags.SAMPLED;

/**
 * Whether spans below this context would record nothing. The decision is taken where a trace begins and everybody below
 * follows it, so the two spans of a call (15 µs of the worker's time with a sampler that says no) need not be made.
 */
export function isUnsampled(at: Context): boolean {
  const spanContext = trace.getSpanContext(at);
  if (!spanContext || !isSpanContextValid(spanContext)) return false;
  return (spanContext.traceFlags & sampled) === 0;
}

/** Takes what is said of it and keeps nothing. */
const unrecorded = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

export async function inSpan<T>(
  name: string,
  kind: SpanKind,
  facts: Facts,
  work: (span: Span) => Promise<T>,
  { parent = context.active(), links = [] as Link[] } = {},
): Promise<T> {
  if (isUnsampled(parent)) return context.with(parent, work, undefined, unrecorded);
  const span = tracer.startSpan(name, { kind, attributes: facts, links }, parent);
  try {
    return await context.with(trace.setSpan(parent, span), work, undefined, span);
  } catch (error) {
    if (span.isRecording() && !isBenign(error)) recordThrown(span, error);
    throw error;
  } finally {
    span.end();
  }
}

/** What ends an attempt through nobody's fault, such as a deployment, says so of itself. */
const isBenign = (error: unknown): boolean => error instanceof Error && 'benign' in error && error.benign === true;

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

export function fail(span: Span, type: string, message: string): void {
  if (!span.isRecording()) return;
  const text = String(settings.redact(message)).slice(0, maxText);
  span.recordException({ name: type, message: text });
  span.setAttribute('error.type' satisfies Attribute, type);
  span.setStatus({ code: SpanStatusCode.ERROR, message: text });
}

export function setFacts(span: Span, facts: Facts): void {
  if (span.isRecording()) span.setAttributes(facts);
}

export function capture(span: Span, attribute: Attribute, value: unknown): void {
  if (!settings.captureContent || !span.isRecording()) return;
  try {
    const text = JSON.stringify(settings.redact(JSON.parse(JSON.stringify(value ?? null))));
    span.setAttribute(attribute, text.slice(0, maxText));
  } catch {
    // What is not JSON is refused where it matters; a span can do without it.
  }
}

/** Not the id, which is personal, and only where it is recorded: an HMAC costs more than a span that is not. */
export function nameUser(span: Span, { owner, userId }: Principal): void {
  const { userHashSecret } = settings;
  if (userHashSecret === '' || !span.isRecording()) return;
  const hash = createHmac('sha256', userHashSecret).update(`${owner}\n${userId}`).digest('hex').slice(0, 32);
  span.setAttribute('user.hash' satisfies Attribute, hash);
}
