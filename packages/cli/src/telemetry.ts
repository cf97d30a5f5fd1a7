import type { DispatcherConfig, WorkerConfig } from '@callyard/shared/config';
import { createRedactor } from '@callyard/shared/redact';
import { configureTelemetry } from '@callyard/shared/telemetry';
import { startTelemetry, type Telemetry } from '@callyard/shared/telemetry-start';

/** Starts the tracing of a process as its settings say. */
export function startTracing(serviceName: string, config: WorkerConfig | DispatcherConfig): Telemetry {
  const { captureContent, userHashSecret, redactKeys, otlpEndpoint } = config;
  configureTelemetry({ captureContent, userHashSecret, redact: createRedactor({ keys: redactKeys }) });
  return startTelemetry({ serviceName, endpoint: otlpEndpoint });
}
