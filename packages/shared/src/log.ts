import { isSpanContextValid, trace } from '@opentelemetry/api';
import { pino, stdTimeFunctions, type DestinationStream, type Logger } from 'pino';

export interface LogOptions {
  /** the process, as it stands in every line */
  name: string;
  /** default `info` */
  level?: string;
  /** default: standard output */
  destination?: DestinationStream;
}

/** JSON lines that carry the trace they belong to. Arguments and results are never logged by Callyard itself. */
export function createLogger({ name, level = 'info', destination }: LogOptions): Logger {
  const options = {
    name,
    level,
    timestamp: stdTimeFunctions.isoTime,
    mixin: traceFields,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination ? pino(options, destination) : pino(options);
}

/** The names of OpenTelemetry's log data model for JSON, by which log and trace find each other. */
function traceFields(): Record<string, string> {
  const context = trace.getActiveSpan()?.spanContext();
  if (!context || !isSpanContextValid(context)) return {};
  return {
    trace_id: context.traceId,
    span_id: context.spanId,
    trace_flags: context.traceFlags.toString(16).padStart(2, '0'),
  };
}
