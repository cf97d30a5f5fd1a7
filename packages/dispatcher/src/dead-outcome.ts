import type { Envelope, Outcome } from '@callyard/shared/call';
import { deadLetterTtlMs } from '@callyard/shared/dead-jobs';
import type { RetryMark, RetryState } from '@callyard/shared/dead-retries';
import { failures } from '@callyard/shared/failure';
import { longestTimerMs } from '@callyard/shared/policy';
import type { DeadParts } from './dead-parts.ts';
import { outcomeHere } from './envelope.ts';

/** Waits for a retry; past its deadline it is settled here, unless a worker was first. */
export function outcomeOfRetry(envelope: Envelope, pool: string, parts: DeadParts): Promise<Outcome> {
  const { gather, clock, log } = parts;
  const leftMs = Math.max(0, envelope.deadlineAt - clock.now());
  const timer = setTimeout(
    () => {
      settleLate(envelope, pool, parts).then(gather.settle, (error: unknown) =>
        log.error({ err: error, job_id: envelope.key }, 'a retry could not be settled'),
      );
    },
    Math.min(leftMs, longestTimerMs),
  );
  timer.unref();
  return gather.expect(envelope.key, 'attached').finally(() => clearTimeout(timer));
}

/** Settles a retry that nobody waited for, such as that of a pool that died, and says how it stands. */
export async function settleOverdue({ key, pool }: RetryMark, parts: DeadParts): Promise<RetryState> {
  const envelope = await parts.letters.envelope(pool, key);
  return envelope ? (await settleLate(envelope, pool, parts)).status : 'dropped';
}

/** The first word stands: a worker that was faster has settled it. */
async function settleLate(
  envelope: Envelope,
  pool: string,
  { ledger, queues }: Pick<DeadParts, 'ledger' | 'queues'>,
): Promise<Outcome> {
  const code = 'deadline_exceeded';
  const outcome = outcomeHere(envelope, { code, message: failures[code].forModel });
  const settlement = { outcome, text: JSON.stringify(outcome), ttlMs: deadLetterTtlMs, replyTo: envelope.replyTo };
  const settled = await ledger.settle(settlement).done;
  await queues.withdraw(pool, envelope);
  return settled.kind === 'stale' ? outcome : settled.outcome;
}
