import type { Clock } from '@callyard/shared/clock';
import type { Prices } from '@callyard/shared/prices';
import type { DispatcherConfig } from '@callyard/shared/config';
import type { Ledger } from '@callyard/shared/ledger';
import type { HeldRun, RunFields, RunStore } from '@callyard/shared/runs/run-store';
import type { Names } from '@callyard/shared/names';
import { tokensSpentKey, tokensSpentTtlMs, type TokenBudget } from '@callyard/shared/token-budget';
import type { Logger } from 'pino';
import type { Calls } from '../calls.ts';
import { startDeadline } from '../deadline.ts';
import type { RunFrame } from '../envelope.ts';
import type { LiveTools } from '../live-tools.ts';
import { driveRun } from '../loop.ts';
import type { Model } from '../model.ts';
import { OfferError, offerForTurn, type Offer, type OfferParts } from '../offer.ts';
import { offerByTurn } from '../offer-by-turn.ts';
import { budgetOf } from '../run-bounds.ts';
import { logDrive } from '../run-lines.ts';
import { HoldEnd } from '../run-over.ts';
import { countRun } from '../run-metrics.ts';
import type { RunEnd, RunHistory, RunRecord } from '../run-record.ts';
import { durableRunRecord, readHistory, readResponse, type DurableRecordOptions } from './durable-record.ts';
import { inHoldSpan, type SpanOfHold } from './hold-span.ts';
import { parkable } from './parking.ts';
import type { RunSpec } from './run-spec.ts';
import { tellingModel } from './telling-model.ts';
import { readOffer, writeOffer } from './written-offer.ts';

/** What a dispatcher needs to drive durable runs. */
export interface DurableParts extends OfferParts {
  dispatcher: string;
  config: DispatcherConfig;
  clock: Clock;
  names: Names;
  live: LiveTools;
  tokens: TokenBudget;
  calls: Calls;
  ledger: Ledger;
  store: RunStore;
  /** by name */
  models: ReadonlyMap<string, Model>;
  prices: Prices | undefined;
  log: Logger;
}

/** What reaches a hold from outside while it lasts. */
export interface HoldStops {
  /** aborts with `HoldEnd` */
  leave: AbortController;
  /** the run is cancelled */
  cancel: AbortController;
  /** until when its events are written, in Redis time */
  watchedUntil: number;
  /** until when its lock is known to be ours, on this process's own clock */
  lockedUntil: number;
  /** once it is held */
  fence?: string;
}

/** A run that was taken over: what was found of it, and what may end the hold. */
interface TakenOver {
  runId: string;
  held: HeldRun;
  spec: RunSpec;
  history: RunHistory;
  stops: HoldStops;
}

/** Drives a run from where it stands to its end. Rejects with `HoldEnd` where somebody else is to go on. */
export async function driveHold(
  runId: string,
  held: HeldRun,
  model: Model,
  stops: HoldStops,
  to: DurableParts & Pick<SpanOfHold, 'letGo'>,
): Promise<RunEnd> {
  const { fields, before } = held;
  const spec = JSON.parse(fields.spec ?? '') as RunSpec;
  const history = await readHistory(fields, before, to.ledger);
  const run: TakenOver = { runId, held, spec, history, stops };
  const deadline = startDeadline(Math.max(0, deadlineOf(held) - to.clock.now()), stops.cancel.signal);
  const offer = offersOf(spec, openTurn(history, fields), to);
  const record = recordOf(run, async (turn) => writeOffer(await offer(turn)), to);
  const { principal, conversationId, bounds } = spec;
  const isWatched = () => stops.watchedUntil > to.clock.now();
  const drive = () =>
    driveRun({
      frame: frameOf(run, deadline.signal, isWatched),
      record,
      calls: parkable(to.calls, runId, stops.leave, to.config.parkAfterMs),
      model: tellingModel(model, { runId, fence: held.fence }, isWatched, to.store, to.log),
      offer,
      limits: { ...to.config, ...bounds },
      budget: budgetOf(principal, bounds, to.tokens),
      mode: spec.mode,
      toolChoice: spec.toolChoice,
      parallel: spec.parallel,
      prices: to.prices,
    });
  try {
    const goOn = async () => (await withoutTools(run, offer, record, deadline.signal, to)) ?? (await drive());
    return await inHoldSpan({ ...run, provider: model.provider, record, letGo: to.letGo }, to, () =>
      logDrive(to, { runId, conversationId, principal }, goOn, held),
    );
  } finally {
    deadline.clear();
  }
}

const deadlineOf = ({ fields }: HeldRun): number => Number(fields.deadlineAt);

function frameOf({ runId, held, spec, stops }: TakenOver, signal: AbortSignal, isWatched: () => boolean): RunFrame {
  return {
    runId,
    conversationId: spec.conversationId,
    principal: spec.principal,
    class: spec.class,
    deadlineAt: deadlineOf(held),
    takeover: false,
    signal,
    carrier: held.fields.carrier,
    hold: {
      fence: held.fence,
      leave: stops.leave.signal,
      isWatched,
      assertOurs: () => assertOurs(stops),
      cancel: () => stops.cancel.abort(),
    },
  };
}

export function recordOf(
  { runId, held, spec, history }: Omit<TakenOver, 'stops'>,
  offered: DurableRecordOptions['offered'],
  { store, names, clock, config }: Pick<DurableParts, 'store' | 'names' | 'clock' | 'config'>,
): RunRecord {
  const { runKeepMs: keepMs, conversationTtlMs } = config;
  return durableRunRecord({
    store,
    hold: { runId, fence: held.fence },
    history,
    before: held.before.length,
    offered,
    spent: () => ({ key: tokensSpentKey(names, spec.principal, clock.now()), ttlMs: tokensSpentTtlMs }),
    outcomeTtlMs: () => Math.max(0, deadlineOf(held) - clock.now()) + keepMs,
    onEnd: (end) => countRun(end, Number(held.fields.createdAt), clock.now()),
    keepMs,
    conversationTtlMs,
  });
}

function assertOurs({ leave, lockedUntil }: HoldStops): void {
  if (performance.now() > lockedUntil) leave.abort(new HoldEnd('stale'));
  leave.signal.throwIfAborted();
}

/** What each turn offers; the one that was open as it was. */
function offersOf(
  spec: RunSpec,
  open: { turn: number; offered: readonly string[] } | undefined,
  to: DurableParts,
): (turn: number) => Promise<Offer> {
  const { principal, conversationId } = spec;
  const known = open && { turn: open.turn, offer: readOffer(to.live, open.offered) };
  return offerByTurn((turn) => offerForTurn({ options: spec, principal, conversationId, turn }, to), known);
}

/** The turn whose outcomes are missing, and what it was offered. */
function openTurn({ turns }: RunHistory, fields: RunFields): { turn: number; offered: readonly string[] } | undefined {
  const turn = turns.length - 1;
  if (turn < 0 || turns[turn]?.outcomes) return undefined;
  return { turn, offered: readResponse(fields[`r:${turn}`] ?? '').offered };
}

/** Tools that are named but that no worker serves are waited for as long as a call would wait; then the run ends. */
async function withoutTools(
  { history: { turns }, stops: { leave } }: TakenOver,
  offer: (turn: number) => Promise<Offer>,
  record: RunRecord,
  signal: AbortSignal,
  { live, config, clock }: DurableParts,
): Promise<RunEnd | undefined> {
  const until = clock.now() + config.unservedMs;
  const next = turns.at(-1)?.outcomes || turns.length === 0 ? turns.length : turns.length - 1;
  for (;;) {
    try {
      await offer(next);
      return undefined;
    } catch (error) {
      if (!(error instanceof OfferError)) throw error;
      leave.signal.throwIfAborted();
      if (signal.aborted) return undefined; // the loop ends the run before it needs a tool
      const leftMs = until - clock.now();
      if (leftMs <= 0) return record.finish({ state: 'failed', stop: 'tools_unavailable', error: error.message });
      await live.next(AbortSignal.any([signal, leave.signal, AbortSignal.timeout(Math.ceil(leftMs))]));
    }
  }
}
