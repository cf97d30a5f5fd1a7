import type { Clock } from '@callyard/shared/clock';
import { inAgentSpan, tellLostHolds, type HoldOfRun } from '@callyard/shared/telemetry';
import type { HeldRun, RunStore } from '@callyard/shared/runs/run-store';
import { HoldEnd } from '../run-over.ts';
import { usageOf, type RunEnd, type RunRecord } from '../run-record.ts';
import type { RunSpec } from './run-spec.ts';

/** A run that is held, as its span tells of it. */
export interface SpanOfHold {
  runId: string;
  held: HeldRun;
  spec: RunSpec;
  /** absent where nobody asks the model any more */
  provider?: string;
  record: RunRecord;
  /** Writes that the hold has ended, before its run has: resolves with how, see `callyard.hold.ended`. */
  letGo: (why: unknown) => Promise<string>;
}

/**
 * One hold of a run, under the submit of the run; before it, in their places, the holds of dispatchers that were killed.
 * How it ended is written first, and told then: what could not be written is told by whoever takes over. Who is killed
 * between the two is told of by nobody, as is who is killed before its spans have left.
 */
export function inHoldSpan(
  { runId, held, spec, provider, record, letGo }: SpanOfHold,
  { clock, store }: { clock: Clock; store: Pick<RunStore, 'recordTrace'> },
  drive: () => Promise<RunEnd>,
): Promise<RunEnd> {
  const { principal, conversationId, model } = spec;
  const { fence, fields, began } = held;
  const run = { runId, conversationId, principal, model, provider };
  const hold: HoldOfRun = { carrier: fields.carrier, fence, began: began.why, lost: began.lost, now: clock.now() };
  tellLostHolds(run, hold);
  return inAgentSpan({ ...run, hold }, async (describe, leave, begun) => {
    try {
      const kept = begun && (await store.recordTrace({ runId, fence }, begun));
      if (kept === 'stale' || kept === 'gone') throw new HoldEnd(kept);
      const end = await drive();
      describe({ ...end, usage: usageOf((await record.load()).turns) });
      return end;
    } catch (error) {
      leave(await letGo(error).catch(() => 'stale'));
      throw error;
    }
  });
}
