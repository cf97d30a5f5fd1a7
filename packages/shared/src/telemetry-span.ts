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
import { isFailureCode } from './failure.ts';
import type { Principal } from './principal.ts';
import { spanContextOf } from './telemetry-context.ts';
import type { Attribute } from './telemetry-names.ts';

const tracer = trace.getTracer('callyard');

/** Longest value on a span, in characters: arguments, results and texts of errors among them. */
export const maxText = 2_048;

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
  /** of one that is known to have begun a trace */
  traceId?: string | undefined;
}

/** The ids that the span has which is started next. */
let planned: { span?: string | undefined; trace?: string | undefined } = {};

/** Asked by the SDK for each span, and for each trace. */
export const plannedSpanId = (): string | undefined => planned.span;
export const plannedTraceId = (): string | undefined => planned.trace;

export function startSpan(name: string, kind: SpanKind, facts: Facts, options: SpanOptions = {}): Span {
  const { parent = context.active(), id, traceId, ...own } = options;
  planned = { span: id, trace: traceId };
  try {
    return tracer.startSpan(name, { kind, attributes: facts, ...own }, parent);
  } finally {
    planned = {};
  }
}

/** `work` is told the context it runs in, which is the active one only where something traces. */
export async function inSpan<T>(
  name: string,
  kind: SpanKind,
  facts: Facts,
  work: (span: Span, at: Context) => Promise<T>,
  options: SpanOptions = {},
): Promise<T> {
  const { parent = context.active() } = options;
  if (isUnsampled(parent))
    return parent === context.active()
      ? work(unrecorded, parent)
      : context.with(parent, work, undefined, unrecorded, parent);
  const span = startSpan(name, kind, facts, options);
  const at = trace.setSpan(parent, span);
  try {
    return await context.with(at, work, undefined, span, at);
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

/**
 * A code of ours, of Node or of a library, else an HTTP status, else the class. Handlers put what they like into a code,
 * order numbers and tokens too: what could be content is passed over, as this goes onto spans and into labels.
 */
function typeOf(thrown: unknown): string {
  const { code, status, name } = Object(thrown) as Record<string, unknown>;
  if (typeof code === 'string' && (isFailureCode(code) || constant.test(code))) return code;
  if (isStatus(status)) return String(status);
  return thrown instanceof Error && isClass(name) ? name : '_OTHER';
}

/** ECONNRESET, EAI_AGAIN, ERR_INVALID_URL, UND_ERR_SOCKET, ER_DUP_ENTRY, SQLITE_BUSY. A number is nobody's name. */
const constant = /^(?!.*\d{3})(?:E[A-Z]{2,30}|EAI_[A-Z]{1,30}|(?:UND_ERR|ERR|ER|SQLITE)_[A-Z][A-Z\d_]{0,60})$/;
const isStatus = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 100 && Number(value) <= 599;
const isClass = (name: unknown): name is string => typeof name === 'string' && /^[A-Za-z]\w{0,63}$/.test(name);

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
