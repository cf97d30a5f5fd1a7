import type { IncomingMessage, ServerResponse } from 'node:http';
import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import {
  AggregationTemporality,
  InstrumentType,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import { watchRuntime } from './runtime-metrics.ts';
import { ended, resourceOf, timeoutOf, type SendOptions, type Telemetry } from './telemetry-process.ts';

export interface MetricsOptions extends SendOptions {
  /** unless the environment names the service (`OTEL_SERVICE_NAME`) */
  serviceName: string;
  /** base URL of an OTLP/HTTP receiver that metrics are sent to; without one they are only shown */
  endpoint?: string;
}

export interface Metrics extends Telemetry {
  /** Answers a request for what `/metrics` shows. */
  show(request: IncomingMessage, response: ServerResponse): void;
}

/**
 * Series of one metric; what comes beyond is counted together, under `otel_metric_overflow`. The SDK's own 2,000 would
 * be met by some hundred tools: 764 with 6 ways to end each make 4,600.
 */
const maxSeries = 10_000;

/** As often as Prometheus asks by default in our stack; the SDK's own minute hides what an alert is about. */
const sendEveryMs = 15_000;

/** Starts metrics: read by Prometheus and, with an endpoint, sent over OTLP/HTTP in JSON. Traces are not needed for it. */
export async function startMetrics({ serviceName, endpoint = '', ...send }: MetricsOptions): Promise<Metrics> {
  const shown = new Shown({ preventServerStart: true, withoutScopeInfo: true });
  const provider = new MeterProvider({
    resource: resourceOf(serviceName),
    readers: [shown, ...(endpoint === '' ? [] : [await sentTo(endpoint, send)])],
    views: [{ instrumentName: '*', aggregationCardinalityLimit: maxSeries }],
  });
  metrics.setGlobalMeterProvider(provider);
  const stopWatching = watchRuntime();
  return {
    show: (request, response) => shown.getMetricsRequestHandler(request, response),
    shutdown: () => ended(provider.shutdown(), send).finally(stopWatching),
  };
}

/** A cumulative gauge would show for ever what it said last of a pool that is gone. */
const temporalityOf = (type: InstrumentType): AggregationTemporality =>
  type === InstrumentType.OBSERVABLE_GAUGE ? AggregationTemporality.DELTA : AggregationTemporality.CUMULATIVE;

class Shown extends PrometheusExporter {
  override selectAggregationTemporality = temporalityOf;
}

class Sent extends PeriodicExportingMetricReader {
  override selectAggregationTemporality = temporalityOf;
}

async function sentTo(endpoint: string, send: SendOptions): Promise<Sent> {
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http');
  const exporter = new OTLPMetricExporter({ url: `${endpoint.replace(/\/$/, '')}/v1/metrics`, ...timeoutOf(send) });
  return new Sent({ exporter, exportIntervalMillis: sendEveryMs });
}
