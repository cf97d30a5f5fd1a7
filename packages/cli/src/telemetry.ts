import type { DispatcherConfig, WorkerConfig } from '@callyard/shared/config';
import type { Metrics } from '@callyard/shared/metrics-start';
import { createRedactor } from '@callyard/shared/redact';
import { configureTelemetry } from '@callyard/shared/telemetry';
import type { SendOptions, Telemetry } from '@callyard/shared/telemetry-process';

type Config = WorkerConfig | DispatcherConfig;

/** What a process tells of itself. */
export interface Observed extends Telemetry {
  /** answers what reads its metrics; absent where none are collected */
  show?: Metrics['show'];
}

/** A collector that hangs may hold a command up for a moment, once all is said. */
const maxCommandSendMs = 2_000;

/** Starts the tracing of a process as its settings say. The SDK takes 0.3 s to load, so only who traces loads it. */
export async function startTracing(serviceName: string, config: Config, send: SendOptions = {}): Promise<Telemetry> {
  const { captureContent, userHashSecret, redactKeys, otlpEndpoint: endpoint } = config;
  configureTelemetry({ captureContent, userHashSecret, redact: createRedactor({ keys: redactKeys }) });
  if (endpoint === '') return { shutdown: async () => {} };
  const { startTelemetry } = await import('@callyard/shared/telemetry-start');
  return startTelemetry({ serviceName, endpoint, ...send });
}

/** Starts metrics, which are then told of spans that are dropped, and traces. Metrics take 0.15 s to load. */
export async function startObserving(serviceName: string, config: Config, isServing: boolean): Promise<Observed> {
  const send = isServing ? {} : { maxSendMs: maxCommandSendMs };
  const metrics = await startMetricsOf(serviceName, config, isServing, send);
  const tracing = await startTracing(serviceName, config, send);
  return {
    ...(metrics && { show: metrics.show }),
    async shutdown() {
      await Promise.all([tracing.shutdown(), metrics?.shutdown()]);
    },
  };
}

/** Only a process that serves is there long enough to be asked; a command may send what it has as it ends. */
async function startMetricsOf(
  serviceName: string,
  { metricsPort, metricsExporters, otlpEndpoint }: Config,
  isServing: boolean,
  send: SendOptions,
): Promise<Metrics | undefined> {
  const endpoint = metricsExporters.includes('otlp') ? otlpEndpoint : '';
  if (endpoint === '' && !(isServing && metricsPort > 0)) return undefined;
  const { startMetrics } = await import('@callyard/shared/metrics-start');
  return startMetrics({ serviceName, endpoint, ...send });
}
