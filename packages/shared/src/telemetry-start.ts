import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  envDetector,
  hostDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
} from '@opentelemetry/resources';
import { NodeSDK } from '@opentelemetry/sdk-node';
import { BatchSpanProcessor } from '@opentelemetry/sdk-trace';

export interface TelemetryOptions {
  /** unless the environment names the service (`OTEL_SERVICE_NAME`) */
  serviceName: string;
  /** base URL of an OTLP/HTTP receiver; without one nothing is traced */
  endpoint: string;
}

export interface Telemetry {
  /** Sends what is left, for 5 s at most. */
  shutdown(): Promise<void>;
}

/** A collector that hangs must not keep a process from ending. */
const maxShutdownMs = 5_000;

/**
 * Starts tracing over OTLP/HTTP in JSON. Sampling is OpenTelemetry's own (`OTEL_TRACES_SAMPLER`). A collector that is
 * down or slow loses spans, never calls: one batch is under way at a time, so the queue is long enough for 8 batches.
 */
export function startTelemetry({ serviceName, endpoint }: TelemetryOptions): Telemetry {
  if (endpoint === '') return { shutdown: async () => {} };
  const exporter = new OTLPTraceExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/traces` });
  const batches = { maxQueueSize: 16_384, maxExportBatchSize: 2_048, scheduledDelayMillis: 1_000 };
  const sdk = new NodeSDK({
    // Not `serviceName`, which would go before the environment.
    resource: defaultResource().merge(resourceFromAttributes({ 'service.name': serviceName })),
    spanProcessors: [new BatchSpanProcessor({ exporter, ...batches })],
    metricReaders: [],
    logRecordProcessors: [],
    // The default also tells the command line and the user of the process.
    resourceDetectors: [hostDetector, serviceInstanceIdDetector, envDetector],
  });
  sdk.start();
  return { shutdown: () => within(maxShutdownMs, sdk.shutdown()) };
}

async function within(ms: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work.catch(() => {}), late]);
  clearTimeout(timer);
}
