import type { Envelope } from '@callyard/shared/call';
import type { RunEventBody } from '@callyard/shared/runs/run-event';
import type { RunStore } from '@callyard/shared/runs/run-store';
import type { Logger } from 'pino';

/** Runs a worker keeps in mind as watched: a reader that comes later is announced again. */
const maxWatched = 10_000;

/** Tells whoever reads the events of a durable run what its calls do; costs nothing where nobody does. */
export interface Telling {
  tell(envelope: Envelope, event: RunEventBody): void;
  /** Somebody began to read the events of this run. */
  watch(runId: string): void;
}

export function createTelling(store: Pick<RunStore, 'emit'>, log: Logger): Telling {
  const watched = new Set<string>();
  return {
    tell({ runId, durable, watched: wasWatched }, event) {
      if (!durable || !(wasWatched || watched.has(runId))) return;
      store
        .emit(runId, [event])
        .catch((error: unknown) =>
          log.warn({ event: 'run.event_unwritten', err: error, run_id: runId }, 'an event could not be written'),
        );
    },
    watch(runId) {
      const [oldest] = watched;
      if (watched.size >= maxWatched && oldest !== undefined) watched.delete(oldest);
      watched.add(runId);
    },
  };
}
