import type { DispatcherConfig, WorkerConfig } from '@callyard/shared/config';
import { createRedactor } from '@callyard/shared/redact';
import { configureTelemetry } from '@callyard/shared/telemetry';
import type { Telemetry } from '@callyard/shared/telemetry-start';

/** Starts the tracing of a process as its settings say. The SDK takes 0.4 s to load, so only who traces loads it. */
export async function startTracing(serviceName: string, config: WorkerConfig | DispatcherConfig): Promise<Telemetry> {
  const { captureContent, userHashSecret, redactKeys, otlpEndpoint: endpoint } = config;
  configureTelemetry({ captureContent, userHashSecret, redact: createRedactor({ keys: redactKeys }) });
  if (endpoint === '') return { shutdown: async () => {} };
  const { startTelemetry } = await import('@callyard/shared/telemetry-start');
  return startTelemetry({ serviceName, endpoint });
}
