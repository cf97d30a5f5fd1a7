import type { Envelope, Outcome } from '@callyard/shared/call';
import { countEnded } from '@callyard/shared/call-metrics';
import { callFields } from '@callyard/shared/call-log';
import { deadLetterTtlMs } from '@callyard/shared/dead-jobs';
import type { RetryMark, RetryState } from '@callyard/shared/dead-retries';
import { failures } from '@callyard/shared/failure';
import { longestTimerMs } from '@callyard/shared/policy';
import { inSettleSpan } from '@callyard/shared/telemetry';
import { traceIdIn } from '@callyard/shared/telemetry-context';
import type { DeadParts } from './dead-parts.ts';
import { outcomeHere } from './envelope.ts';
import { howItStood } from './how-it-stood.ts';

/** A retry on its way. `carrier` is its trace, for who has sent it. */
export interface SentRetry {
  envelope: Envelope;
  pool: string;
  carrier?: string | undefined;
}

/** Waits for a retry; past its deadline it is settled here, unless a worker was first. */
export function outcomeOfRetry(sent: SentRetry, parts: DeadParts): Promise<Outcome> {
  const { envelope } = sent;
  const { gather, clock, log } = parts;
  const leftMs = Math.max(0, envelope.deadlineAt - clock.now());
  const timer = setTimeout(
    () => {
      settleLate(sent, parts).then(gather.settle, (error: unknown) =>
        log.error({ event: 'call.not_settled', err: error, ...callFields(envelope) }, 'a retry could not be settled'),
      );
    },
    Math.min(leftMs, longestTimerMs),
  );
  timer.unref();
  return gather.expect(envelope.key, 'attached').finally(() => clearTimeout(timer));
}

/** Settles a retry that nobody waited for, such as that of a pool that died, and says how it stands. */
export async function settleOverdue({ key, pool }: RetryMark, parts: DeadParts): Promise<RetryState> {
  const call = await parts.letters.call(pool, key);
  return call ? (await settleLate({ ...call, pool }, parts)).status : 'dropped';
}

/** The first word stands: a worker that was faster has settled it. */
function settleLate({ envelope, pool, carrier }: SentRetry, parts: DeadParts): Promise<Outcome> {
  const { ledger, queues, clock } = parts;
  const code = 'deadline_exceeded';
  return inSettleSpan(envelope, code, carrier, async (tell) => {
    const error = { code, message: failures[code].forModel } as const;
    const stood = await howItStood({ envelope, pool }, code, parts);
    const outcome = { ...outcomeHere(envelope, error, traceIdIn(carrier)), ...stood };
    const settlement = { outcome, text: JSON.stringify(outcome), ttlMs: deadLetterTtlMs, replyTo: envelope.replyTo };
    const settled = await ledger.settle(settlement).done;
    if (settled.kind === 'written') countEnded({ outcome, isKnown: true, class: envelope.class, now: clock.now() });
    await queues.withdraw(pool, envelope);
    const standing = settled.kind === 'stale' ? outcome : settled.outcome;
    tell(standing);
    return standing;
  });
}
