import { readHistory } from './durable-record.ts';
import { recordOf, type DurableParts } from './hold.ts';
import { inHoldSpan } from './hold-span.ts';
import type { RunSpec } from './run-spec.ts';

/** Ends a run that is past its deadline and that nobody drives, as whoever drove it would have. */
export async function endOverdueRun(
  runId: string,
  to: Pick<DurableParts, 'store' | 'ledger' | 'names' | 'clock' | 'config' | 'dispatcher'>,
): Promise<void> {
  const held = await to.store.hold(runId, to.dispatcher);
  if (held.kind !== 'held') return; // somebody drives it, after all
  const spec = JSON.parse(held.fields.spec ?? '') as RunSpec;
  const history = await readHistory(held.fields, held.before, to.ledger);
  const record = recordOf({ runId, held, spec, history }, async () => [], to);
  const letGo = async () => 'stale'; // whoever holds it next tells of this hold, should it not end the run
  await inHoldSpan({ runId, held, spec, record, letGo }, to, () =>
    record.finish({ state: 'expired', stop: 'deadline', error: 'the deadline of the run is past' }),
  );
}
