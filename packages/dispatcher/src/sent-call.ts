import type { Envelope } from '@callyard/shared/call';
import type { StandingJob } from '@callyard/shared/standing-job';
import type { SendSpan } from '@callyard/shared/telemetry';
import type { HoldEnd } from './run-over.ts';

/** A call on its way. `pool` is absent while no live pool serves its tool. */
export interface SentCall {
  envelope: Envelope;
  /** open until it is in a queue */
  span: SendSpan;
  carrier: string | undefined;
  /** kept here, as timers that settle a call run outside of its trace */
  traceId: string | undefined;
  pool: string | undefined;
  unservedSince: number | undefined;
  /** its job, as it was when it was last taken back */
  stood: StandingJob | undefined;
  /** while its job is on the way to Redis, or back: a bulk of many may take longer than a sweep */
  isPlacing: boolean;
  /** of a durable run: the hold under which this dispatcher may speak */
  fence: string | undefined;
  /** ends the run, as it is cancelled */
  cancel: () => void;
  /** ends the waiting, as this dispatcher may not speak any more */
  lose: (error: HoldEnd) => void;
}

/** Says of a call for how long nobody was there to serve it. */
export function withWait({ envelope, unservedSince = Number.POSITIVE_INFINITY }: SentCall, now: number): Envelope {
  const ms = Math.round(now - unservedSince);
  return ms > 0 ? { ...envelope, unservedMs: (envelope.unservedMs ?? 0) + ms } : envelope;
}
