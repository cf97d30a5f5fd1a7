import type { Outcome, OutcomeError } from '@callyard/shared/call';
import type { Prices } from '@callyard/shared/prices';
import type { Calls } from './calls.ts';
import { askModel } from './ask.ts';
import type { Hold, RunFrame } from './envelope.ts';
import { cutHistory } from './history.ts';
import { ModelError, type Model, type ModelRequest, type ModelResponse } from './model.ts';
import type { Offer } from './offer.ts';
import { orAborted } from './or-aborted.ts';
import { readCalls, toolCallsOf, type ProposedCall } from './read-calls.ts';
import {
  callsIn,
  conversationOf,
  usageOf,
  type RunEnd,
  type RunHistory,
  type RunRecord,
  type Turn,
} from './run-record.ts';
import { RunOver } from './run-over.ts';

/** Bounds of a run. Whichever is met first ends it, after the calls under way have their outcomes. */
interface RunLimits {
  /** model responses */
  maxTurns: number;
  maxCallsPerTurn: number;
  /** of the whole run */
  maxCalls: number;
  /** input and output tokens of the whole run; may be passed by one response */
  maxTokens: number;
  maxArgumentBytes: number;
  /** as much of the conversation as the model is shown, see history.ts */
  maxHistoryTokens: number;
}

export interface LoopOptions {
  frame: RunFrame;
  record: RunRecord;
  calls: Pick<Calls, 'run' | 'runInOrder' | 'refuse'>;
  model: Model;
  /** what a turn offers: the same answer each time it is asked about one turn, though tools come and go */
  offer: (turn: number) => Offer | Promise<Offer>;
  limits: RunLimits;
  /** the user's tokens of the day: none left, and the model is not asked. May be passed by one response */
  budget?: { left(): Promise<number> } | undefined;
  mode: 'parallel' | 'sequential' | 'sequential-until-failure';
  toolChoice: ModelRequest['toolChoice'];
  parallel: boolean | undefined;
  /** what tokens cost, where that is known */
  prices?: Prices | undefined;
}

/**
 * Drives a run: ask → read calls → enqueue → gather → append → ask … until the model answers without a call or a limit
 * is met. Where it stands is read from the record each time, so a run that was interrupted goes on at the same place.
 */
export async function driveRun(options: LoopOptions): Promise<RunEnd> {
  const { record, frame } = options;
  for (;;) {
    const history = await record.load();
    if (history.end) return history.end;
    const end = await step(history, options).catch((error: unknown) => endOf(error, frame));
    if (end) return record.finish(end);
  }
}

/** One step of a run: gather an open turn, end, or ask for the next turn. */
async function step(history: RunHistory, options: LoopOptions): Promise<RunEnd | undefined> {
  const last = history.turns.at(-1);
  const at = history.turns.length - 1;
  if (last && !last.outcomes) {
    await options.record.recordOutcomes(at, await outcomesOf(last, at, history, options));
    return undefined;
  }
  const end = endAfter(last, history, options);
  if (end) return end;
  const signal = signalOf(options.frame);
  if (options.budget && (await orAborted(options.budget.left(), signal)) <= 0) return budgetSpent;
  const offer = await orAborted(options.offer(at + 1), signal);
  options.frame.hold?.assertOurs();
  const { response, chat } = await askModel(
    requestOf(history, offer, options),
    options.model,
    options.frame.principal,
    options.prices,
  );
  await options.record.recordResponse(at + 1, response, chat);
  return undefined;
}

/** The outcomes of a turn in the order of its calls. */
async function outcomesOf(turn: Turn, at: number, history: RunHistory, options: LoopOptions): Promise<Outcome[]> {
  const { calls, limits, mode } = options;
  const { response, chat } = turn;
  const frame: RunFrame = { ...options.frame, chat };
  const before = callsIn(history.turns.slice(0, at));
  const room = Math.min(limits.maxCallsPerTurn, Math.max(0, limits.maxCalls - before));
  const proposed = readCalls(toolCallsOf(response.message), await options.offer(at), { ...limits, room });
  const incomplete = incompleteResponse(response);
  if (incomplete) return calls.refuse(frame, at, proposed, incomplete);
  const under = frame.hold && turn.sentTo ? takenOver(frame, frame.hold, turn.sentTo) : frame;
  if (mode === 'parallel' && !proposed.some(isSequential)) return calls.run(under, at, proposed);
  return calls.runInOrder(under, at, proposed, mode === 'sequential-until-failure');
}

/** Another dispatcher has begun the turn: its calls may be enqueued, or settled. */
const takenOver = (frame: RunFrame, hold: Hold, sentTo: Hold['sentTo']): RunFrame => ({
  ...frame,
  takeover: true,
  hold: { ...hold, ...(sentTo && { sentTo }) },
});

const isSequential = (proposed: ProposedCall): boolean =>
  'tool' in proposed && proposed.tool.manifest.policy.sequential;

/** A call in a truncated response may be cut short itself, so none of them runs. */
function incompleteResponse({ stop }: ModelResponse): OutcomeError | undefined {
  if (stop !== 'length' && stop !== 'filtered') return undefined;
  const why = stop === 'length' ? 'was cut at its maximum length' : 'was stopped by a content filter';
  return { code: 'cancelled', message: `Not run: the response that proposed it ${why}.` };
}

/** Whether the run is over after this turn, and why. */
function endAfter(last: Turn | undefined, history: RunHistory, options: LoopOptions): RunEnd | undefined {
  const { limits, frame, mode } = options;
  if (frame.signal.aborted) throw frame.signal.reason;
  if (!last) return undefined;
  // Its worker may notice the deadline, which is the run's, a moment before the timer here does.
  if (last.outcomes?.some(({ error }) => error?.code === 'deadline_exceeded')) throw new RunOver('deadline_exceeded');
  const { stop, message } = last.response;
  if (stop === 'length')
    return { state: 'failed', stop: 'truncated', error: 'the response was cut at its maximum length' };
  if (stop === 'filtered') return { state: 'failed', stop: 'filtered', error: 'a content filter stopped the response' };
  if (toolCallsOf(message).length === 0) return { state: 'completed', stop: 'answer' };
  if (mode === 'sequential-until-failure' && last.outcomes?.some(({ status }) => status !== 'completed')) {
    return { state: 'failed', stop: 'failure', error: 'a call did not complete, and the run was to stop at that' };
  }
  return limitMet(history, limits);
}

function limitMet({ turns }: RunHistory, limits: RunLimits): RunEnd | undefined {
  const { inputTokens, outputTokens } = usageOf(turns);
  const met = (stop: RunEnd['stop'], what: string): RunEnd => ({
    state: 'failed',
    stop,
    error: `the limit of ${what} is met`,
  });
  if (turns.length >= limits.maxTurns) return met('max_turns', `${limits.maxTurns} turns`);
  if (callsIn(turns) >= limits.maxCalls) return met('max_calls', `${limits.maxCalls} calls`);
  if (inputTokens + outputTokens >= limits.maxTokens) return met('max_tokens', `${limits.maxTokens} tokens`);
  return undefined;
}

const budgetSpent: RunEnd = {
  state: 'failed',
  stop: 'token_budget',
  error: "the user's budget of tokens for this day is spent; a new one begins at 00:00 UTC",
};

function requestOf(history: RunHistory, offer: Offer, options: LoopOptions): ModelRequest {
  const { frame, toolChoice, parallel, limits } = options;
  return {
    messages: cutHistory(conversationOf(history), limits.maxHistoryTokens),
    tools: [...offer.values()].map(({ manifest }) => manifest),
    ...(toolChoice === undefined ? {} : { toolChoice }),
    ...(parallel === undefined ? {} : { parallel }),
    signal: signalOf(frame),
    turn: history.turns.length,
    runId: frame.runId,
    conversationId: frame.conversationId,
  };
}

/** Aborts what this dispatcher waits for: the run is over, or goes on without it. */
const signalOf = ({ signal, hold }: RunFrame): AbortSignal => (hold ? AbortSignal.any([signal, hold.leave]) : signal);

/** What a step threw, as the end of the run. Anything unexpected is ours to fix, so it goes on up. */
function endOf(thrown: unknown, { signal, hold }: RunFrame): RunEnd {
  if (hold?.leave.aborted) throw hold.leave.reason;
  const reason = signal.aborted ? signal.reason : thrown;
  if (reason instanceof RunOver) {
    return reason.code === 'cancelled'
      ? { state: 'cancelled', stop: 'cancelled', error: 'the run was cancelled' }
      : { state: 'expired', stop: 'deadline', error: 'the deadline of the run is past' };
  }
  if (reason instanceof ModelError) {
    const { message: error, status } = reason;
    return { state: 'failed', stop: 'model_error', error, ...(status === undefined ? {} : { status }) };
  }
  throw thrown;
}
