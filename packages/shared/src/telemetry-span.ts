import { createHmac } from 'node:crypto';
import {
  context,
  INVALID_SPAN_CONTEXT,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Context,
  type Link,
  type Span,
  type SpanKind,
} from '@opentelemetry/api';
import type { Principal } from './principal.ts';
import { spanContextOf } from './telemetry-context.ts';
import type { Attribute } from './telemetry-names.ts';

const tracer = trace.getTracer('callyard');

/** Longest argument, result or error text on a span, in characters. */
const maxText = 4_096;

interface Settings {
  userHashSecret: string;
  captureContent: boolean;
  redact: (value: unknown) => unknown;
}

let settings: Settings = { userHashSecret: '', captureContent: false, redact: (value) => value };

/** Users are far fewer than spans. */
const hashes = new Map<string, string>();
const maxHashes = 10_000;

/** What spans may say of users and content; by default nothing. */
export function configureTelemetry(given: Settings): void {
  settings = given;
  hashes.clear();
}

export type Facts = Partial<Record<Attribute, string | number | boolean | string[] | undefined>>;

/** The trace that is going on, sampled or not; undefined without an SDK. */
export function activeTraceId(): string | undefined {
  return spanContextOf(context.active())?.traceId;
}

/** A bit among the flags, which are a number. */
const sampled: number = TraceFlags.SAMPLED;

/**
 * Whether spans below this context would record nothing. The decision is taken where a trace begins and everybody below
 * follows it, so the two spans of a call (15 µs of the worker's time with a sampler that says no) need not be made.
 */
export function isUnsampled(at: Context): boolean {
  const spanContext = spanContextOf(at);
  return spanContext !== undefined && (spanContext.traceFlags & sampled) === 0;
}

/** Takes what is said of it and keeps nothing. */
const unrecorded = trace.wrapSpanContext(INVALID_SPAN_CONTEXT);

export interface SpanOptions {
  /** default: what is active */
  parent?: Context;
  links?: Link[];
  /** milliseconds since 1970; default now */
  startTime?: number;
  /** of a span that others must know before it is exported; taken by the SDK that startTelemetry starts */
  id?: string;
}

/** The id that the span has which is started next. */
let plannedId: string | undefined;

/** Asked by the SDK for each span. */
export const plannedSpanId = (): string | undefined => plannedId;

export function startSpan(name: string, kind: SpanKind, facts: Facts, options: SpanOptions = {}): Span {
  const { parent = context.active(), id, ...own } = options;
  plannedId = id;
  try {
    return tracer.startSpan(name, { kind, attributes: facts, ...own }, parent);
  } finally {
    plannedId = undefined;
  }
}

export async function inSpan<T>(
  name: string,
  kind: SpanKind,
  facts: Facts,
  work: (span: Span) => Promise<T>,
  options: SpanOptions = {},
): Promise<T> {
  const { parent = context.active() } = options;
  if (isUnsampled(parent))
    return parent === context.active() ? work(unrecorded) : context.with(parent, work, undefined, unrecorded);
  const span = startSpan(name, kind, facts, options);
  try {
    return await context.with(trace.setSpan(parent, span), work, undefined, span);
  } catch (error) {
    if (span.isRecording() && !isBenign(error)) recordThrown(span, error);
    throw error;
  } finally {
    if (!leftToOthers.has(span)) span.end();
  }
}

/** Spans that are never exported from here: somebody else tells of what they stand for. */
const leftToOthers = new WeakSet<Span>();
export const leaveToOthers = (span: Span): void => void leftToOthers.add(span);

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

/** A code where the error has one, else an HTTP status, else its class: what reads like a name, as others are content. */
function typeOf(thrown: unknown): string {
  const { code, status, name } = Object(thrown) as Record<string, unknown>;
  if (isName(code)) return code;
  if (typeof status === 'number') return String(status);
  return isName(name) ? name : '_OTHER';
}

const isName = (value: unknown): value is string => typeof value === 'string' && /^[\w.-]{1,64}$/.test(value);

/** Marks a span as failed. The text of an error may hold content, so it is kept only where content is. */
export function fail(span: Span, type: string, message: string): void {
  if (!span.isRecording()) return;
  const text = settings.captureContent ? String(settings.redact(message)).slice(0, maxText) : undefined;
  span.recordException({ name: type, ...(text === undefined ? {} : { message: text }) });
  span.setAttribute('error.type' satisfies Attribute, type);
  span.setStatus({ code: SpanStatusCode.ERROR, message: text ?? type });
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

/** Not the id, which is personal, and only where it is recorded. */
export function nameUser(span: Span, principal: Principal): void {
  const hash = span.isRecording() ? hashOfUser(principal) : undefined;
  if (hash !== undefined) span.setAttribute('user.hash' satisfies Attribute, hash);
}

/** What spans and lines name a user by; undefined without a secret to do it with. */
export function hashOfUser({ owner, userId }: Pick<Principal, 'owner' | 'userId'>): string | undefined {
  const { userHashSecret } = settings;
  if (userHashSecret === '') return undefined;
  const user = `${owner}\n${userId}`;
  const known = hashes.get(user);
  if (known !== undefined) return known;
  if (hashes.size >= maxHashes) hashes.clear();
  const hash = createHmac('sha256', userHashSecret).update(user).digest('hex').slice(0, 32);
  hashes.set(user, hash);
  return hash;
}
