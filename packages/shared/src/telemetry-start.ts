import { metrics } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor, RandomIdGenerator } from '@opentelemetry/sdk-trace';
import { isSet } from './config.ts';
import { ended, resourceOf, timeoutOf, type SendOptions, type Telemetry } from './telemetry-process.ts';
import { maxText, plannedSpanId, plannedTraceId } from './telemetry-span.ts';

export interface TelemetryOptions extends SendOptions {
  /** unless the environment names the service (`OTEL_SERVICE_NAME`) */
  serviceName: string;
  /** base URL of an OTLP/HTTP receiver; without one nothing is traced */
  endpoint: string;
}

/** Random, but where a span is to be known by its id before it is exported. */
class SpanIds extends RandomIdGenerator {
  override generateSpanId = (): string => plannedSpanId() ?? this.#random.generateSpanId();
  override generateTraceId = (): string => plannedTraceId() ?? this.#random.generateTraceId();
  readonly #random = new RandomIdGenerator();
}

/** What models and callers write is cut, however long it is. The environment's own limits go first. */
const spanLimits = () => ({
  ...(!isSet('OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT', 'OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT') && {
    attributeValueLengthLimit: maxText,
  }),
  ...(!isSet('OTEL_SPAN_EVENT_COUNT_LIMIT') && { eventCountLimit: 32 }),
});

/**
 * Starts tracing over OTLP/HTTP in JSON. Sampling is OpenTelemetry's own (`OTEL_TRACES_SAMPLER`). A collector that is
 * down or slow loses spans, never calls: one batch is under way at a time, so the queue is long enough for 8 batches.
 */
export function startTelemetry({ serviceName, endpoint, ...send }: TelemetryOptions): Telemetry {
  if (endpoint === '') return { shutdown: async () => {} };
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces`, ...timeoutOf(send) });
  const batches = { maxQueueSize: 16_384, maxExportBatchSize: 2_048, scheduledDelayMillis: 1_000 };
  // Metrics that were started before tell of spans that are dropped.
  const selfObsMeterProvider = metrics.getMeterProvider();
  const sdk = new NodeSDK({
    resource: resourceOf(serviceName),
    autoDetectResources: false,
    idGenerator: new SpanIds(),
    spanLimits: spanLimits(),
    spanProcessors: [new BatchSpanProcessor({ exporter, ...batches, selfObsMeterProvider })],
    metricReaders: [],
    logRecordProcessors: [],
  });
  sdk.start();
  return { shutdown: () => ended(sdk.shutdown(), send) };
}
