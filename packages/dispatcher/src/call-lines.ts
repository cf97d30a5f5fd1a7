import { callFields, logOutcome, type CallLog } from '@callyard/shared/call-log';
import type { Envelope, Outcome } from '@callyard/shared/call';
import { countEnded } from '@callyard/shared/call-metrics';
import type { Clock } from '@callyard/shared/clock';
import type { LogEvent } from '@callyard/shared/log-names';
import type { Tally } from '@callyard/shared/tally';

/** A call that this dispatcher waits for; timers that tell of it run outside of its trace. */
interface Underway {
  envelope: Envelope;
  traceId: string | undefined;
}

/** What a dispatcher logs of calls. */
export interface CallLines {
  enqueued(call: Underway, pool: string): void;
  /** an outcome that this dispatcher has written, or answered without a job */
  ended(outcome: Outcome, envelope: Envelope): void;
  failed(event: keyof typeof texts, error: unknown, call: Underway): void;
}

const texts = {
  'call.not_enqueued': 'a call could not be enqueued; it is tried again',
  'call.not_moved': 'a call could not be moved',
  'call.not_settled': 'a call could not be settled',
} as const satisfies Partial<Record<LogEvent, string>>;

export function callLines(to: CallLog, tally: Pick<Tally, 'add'>, clock: Clock): CallLines {
  const { log } = to;
  return {
    enqueued(call, pool) {
      if (log.isLevelEnabled('debug'))
        log.debug({ event: 'call.enqueued', ...fieldsOf(call), pool }, 'a call is on its way');
    },
    ended(outcome, envelope) {
      // What the model was not offered has no version.
      const isKnown = envelope.tool.version !== '';
      countEnded({ outcome, isKnown, class: envelope.class, now: clock.now() });
      tally.add(outcome);
      logOutcome(outcome, envelope, to);
    },
    failed(event, error, call) {
      const level = event === 'call.not_settled' ? 'error' : 'warn';
      log[level]({ event, err: error, ...fieldsOf(call) }, texts[event]);
    },
  };
}

const fieldsOf = ({ envelope, traceId }: Underway) => ({
  ...callFields(envelope),
  ...(traceId === undefined ? {} : { trace_id: traceId }),
});
