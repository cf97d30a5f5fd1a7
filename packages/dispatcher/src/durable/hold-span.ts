import type { Clock } from '@callyard/shared/clock';
import { inAgentSpan, tellLostHold, type HoldOfRun } from '@callyard/shared/telemetry';
import { HoldEnd } from '../run-over.ts';
import { usageOf, type RunEnd, type RunRecord } from '../run-record.ts';
import type { HeldRun } from '@callyard/shared/runs/run-store';
import type { RunSpec } from './run-spec.ts';

/** A run that is held, as its span tells of it. */
export interface SpanOfHold {
  runId: string;
  held: HeldRun;
  spec: RunSpec;
  /** absent where nobody asks the model any more */
  provider?: string;
  record: RunRecord;
}

/** One hold of a run, under the submit of the run; before it, in its place, the hold of a dispatcher that was killed. */
export function inHoldSpan(
  { runId, held, spec, provider, record }: SpanOfHold,
  clock: Clock,
  drive: () => Promise<RunEnd>,
): Promise<RunEnd> {
  const { principal, conversationId, model } = spec;
  const { fence, fields, began } = held;
  const run = { runId, conversationId, principal, model, provider };
  const hold: HoldOfRun = { carrier: fields.carrier, fence, began: began.why, before: began.after, now: clock.now() };
  tellLostHold(run, hold);
  return inAgentSpan({ ...run, hold }, async (describe, leave) => {
    try {
      const end = await drive();
      describe({ ...end, usage: usageOf((await record.load()).turns) });
      return end;
    } catch (error) {
      leave(error instanceof HoldEnd ? error.why : 'fault');
      throw error;
    }
  });
}
