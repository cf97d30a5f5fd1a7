import { context } from '@opentelemetry/api';
import { pino, stdSerializers, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';
import { spanContextOf } from './telemetry-context.ts';

export interface LogOptions {
  /** the process, as it stands in every line */
  name: string;
  /** default `info` */
  level?: string;
  /** default: standard output */
  destination?: DestinationStream;
}

/** JSON lines that carry the trace they belong to; what they tell of is in log-names.ts. */
export function createLogger({ name, level = 'info', destination }: LogOptions): Logger {
  const options = {
    name,
    level,
    timestamp: stdTimeFunctions.isoTime,
    mixin: traceFields,
    serializers: { err: errorFields },
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** The names of OpenTelemetry's log data model for JSON, by which log and trace find each other. */
export function traceFields(): Record<string, string> {
  const active = spanContextOf(context.active());
  if (!active) return {};
  return {
    trace_id: active.traceId,
    span_id: active.spanId,
    trace_flags: active.traceFlags.toString(16).padStart(2, '0'),
  };
}

/**
 * What an error and its causes say, and nothing that clients hang on theirs: a failed Redis command carries the envelope
 * it was to write, a failed request its headers.
 */
function errorFields(error: unknown): unknown {
  if (!(error instanceof Error)) return typeof error === 'object' ? 'an object that is no error' : error;
  const { type, message, stack } = stdSerializers.err(error);
  const code = 'code' in error && typeof error.code !== 'object' ? { code: error.code } : {};
  const inner = error instanceof AggregateError ? { aggregateErrors: error.errors.map(errorFields) } : {};
  return { type, message, stack, ...code, ...inner };
}
