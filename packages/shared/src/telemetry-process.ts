import {
  defaultResource,
  detectResources,
  envDetector,
  hostDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
  type Resource,
} from '@opentelemetry/resources';
import { doneWithin } from './in-time.ts';

/* What traces and metrics of a process have in common. */

export interface Telemetry {
  /** Sends what is left, for `SendOptions.maxSendMs` at most. */
  shutdown(): Promise<void>;
}

export interface SendOptions {
  /**
   * how long a collector may take for a batch, and for what is left at the end: one that hangs must not keep a process
   * from ending; default: for a batch what the environment says (`OTEL_EXPORTER_OTLP_TIMEOUT`), 5 s at the end
   */
  maxSendMs?: number | undefined;
}

/** For the exporters. */
export const timeoutOf = ({ maxSendMs }: SendOptions): { timeoutMillis?: number } =>
  maxSendMs === undefined ? {} : { timeoutMillis: maxSendMs };

let instance: Resource | undefined;

/** What traces and metrics say of their process. The environment's word on the name (`OTEL_SERVICE_NAME`) goes first. */
export function resourceOf(serviceName: string): Resource {
  // The default detectors also tell the command line and the user of the process.
  instance ??= detectResources({ detectors: [hostDetector, serviceInstanceIdDetector, envDetector] });
  return defaultResource()
    .merge(resourceFromAttributes({ 'service.name': serviceName }))
    .merge(instance);
}

/** Waits for an orderly end, but not for long. */
export async function ended(work: Promise<void>, { maxSendMs = 5_000 }: SendOptions = {}): Promise<void> {
  await doneWithin(
    maxSendMs,
    work.catch(() => {}),
  );
}
