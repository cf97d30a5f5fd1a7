import {
  context,
  createTraceState,
  INVALID_SPANID,
  INVALID_TRACEID,
  isSpanContextValid,
  propagation,
  ROOT_CONTEXT,
  trace,
  type Context,
  type SpanContext,
} from '@opentelemetry/api';

/** A context as it travels. */
export interface Carried {
  /** as BullMQ carries it, in `opts.telemetry.metadata`; undefined where nothing traces */
  readonly carrier: string | undefined;
  readonly traceId: string | undefined;
}

/** What calls of one turn carry alike, where they have no spans of their own. */
const known = new WeakMap<Context, Carried>();

export function carried(at: Context): Carried {
  const found = known.get(at);
  if (found) return found;
  const carrier: Record<string, string> = {};
  propagation.inject(at, carrier);
  const made = {
    carrier: carrier.traceparent === undefined ? undefined : JSON.stringify(carrier),
    traceId: spanContextOf(at)?.traceId,
  };
  known.set(at, made);
  return made;
}

/** The span of a context; not the one that stands for none. Looking through its ids, as OpenTelemetry does, takes 1 µs. */
export function spanContextOf(at: Context): SpanContext | undefined {
  const spanContext = trace.getSpanContext(at);
  return spanContext && spanContext.traceId !== INVALID_TRACEID ? spanContext : undefined;
}

/** What `carried` makes of most contexts: read by itself, it takes 1 µs instead of 4. */
const usualCarrier = /^\{"traceparent":"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])"\}$/;

/** What came with a job, or stands in a record, is taken for a context only if it is one. */
export function extract(carrier: string | undefined): Context {
  if (carrier === undefined) return ROOT_CONTEXT;
  const [, traceId, spanId, flags] = usualCarrier.exec(carrier) ?? [];
  if (traceId !== undefined && spanId !== undefined && traceId !== INVALID_TRACEID && spanId !== INVALID_SPANID)
    return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: Number(flags), isRemote: true });
  try {
    const given: unknown = JSON.parse(carrier);
    return typeof given === 'object' && given !== null ? propagation.extract(ROOT_CONTEXT, given) : ROOT_CONTEXT;
  } catch {
    return ROOT_CONTEXT;
  }
}

/** The links to what a carrier holds: one, or none. */
export function linksTo(carrier: string | undefined): { context: SpanContext }[] {
  const linked = trace.getSpanContext(extract(carrier));
  return linked ? [{ context: linked }] : [];
}

/** The trace that a caller is in, as its HTTP headers have it. */
export interface CallerTrace {
  /** W3C Trace Context; default: the context that is active */
  traceparent?: string;
  tracestate?: string;
}

/** Version 00; what a later one adds behind it is ignored, as the specification has it. */
const traceparentPattern = /^(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?=-|$)(?:-.*)?$/;

/** @throws TypeError where `traceparent` is none */
export function callerContext({ traceparent, tracestate }: CallerTrace): Context {
  if (traceparent === undefined) return context.active();
  const [, version, traceId = '', spanId = '', flags = ''] = traceparentPattern.exec(traceparent) ?? [];
  const traceState = tracestate === undefined ? {} : { traceState: createTraceState(tracestate) };
  const given = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true, ...traceState };
  if (!isSpanContextValid(given) || (version === '00' && traceparent.length !== 55))
    throw new TypeError(`traceparent: ${JSON.stringify(traceparent.slice(0, 100))} is none (W3C Trace Context)`);
  return trace.setSpanContext(ROOT_CONTEXT, given);
}

/** The span that is active, as headers of a request; none without a trace. */
export function traceHeaders(): Record<string, string> {
  const active = spanContextOf(context.active());
  if (!active) return {};
  const { traceId, spanId, traceFlags, traceState } = active;
  const state = traceState?.serialize() ?? '';
  return {
    traceparent: `00-${traceId}-${spanId}-${(traceFlags & 1).toString(16).padStart(2, '0')}`,
    ...(state === '' ? {} : { tracestate: state }),
  };
}

/** Work for later that belongs to the trace of now: its lines carry the trace, though its span has ended. */
export const withActiveTrace = <T>(work: () => T): (() => T) => context.bind(context.active(), work);

/** Read without OpenTelemetry, which knows no format of a context where nothing traces. */
export const traceIdIn = (carrier = ''): string | undefined => /"traceparent":"\w+-([0-9a-f]{32})-/.exec(carrier)?.[1];
