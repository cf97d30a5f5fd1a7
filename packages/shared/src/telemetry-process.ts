import {
  defaultResource,
  detectResources,
  envDetector,
  hostDetector,
  resourceFromAttributes,
  serviceInstanceIdDetector,
  type Resource,
} from '@opentelemetry/resources';

/* What traces and metrics of a process have in common. */

export interface Telemetry {
  /** Sends what is left, for 5 s at most. */
  shutdown(): Promise<void>;
}

/** A collector that hangs must not keep a process from ending. */
const maxShutdownMs = 5_000;

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
export async function inTime(work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, maxShutdownMs);
  });
  await Promise.race([work.catch(() => {}), late]);
  clearTimeout(timer);
}
