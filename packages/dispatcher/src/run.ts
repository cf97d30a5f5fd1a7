import { randomUUID } from 'node:crypto';
import { runIdPattern, type Outcome } from '@callyard/shared/call';
import { activeTraceId, inAgentSpan } from '@callyard/shared/telemetry';
import { startFrame, type CallerOptions } from './caller.ts';
import type { Connected } from './connect.ts';
import { driveRun } from './loop.ts';
import type { Message, Model, ToolChoice, Usage } from './model.ts';
import { OfferError, offerTools, type Offer } from './offer.ts';
import { conversationOf, memoryRunRecord, usageOf, type RunEnd, type RunHistory } from './run-record.ts';

export interface RunOptions extends CallerOptions {
  messages: readonly Message[];
  /** default: the dispatcher's */
  model?: Model;
  toolChoice?: ToolChoice;
  /** whether the model may propose several calls at once; passed through */
  parallel?: boolean;
  maxTurns?: number;
  /** of the whole run; default `maxCalls` of the dispatcher */
  maxCalls?: number;
  maxTokens?: number;
  /** default: a new one. Letters, digits, `_` and `-` */
  runId?: string;
}

export interface RunResult extends RunEnd {
  runId: string;
  /** the whole conversation: the messages given, and all that were added */
  messages: Message[];
  /** what the model said last, if it was text */
  text: string | undefined;
  /** every call of the run, in order */
  outcomes: Outcome[];
  turns: number;
  usage: Usage;
  traceId: string | undefined;
}

/** Drives a conversation in this process. Rejects only for what the caller did wrong. */
export async function runConversation(run: RunOptions, to: Connected): Promise<RunResult> {
  const model = run.model ?? to.model;
  if (!model) throw new TypeError('run: no model; give one to createDispatcher or to run');
  const runId = run.runId ?? randomUUID();
  if (!runIdPattern.test(runId))
    throw new TypeError(`run: runId ${JSON.stringify(runId)} does not match ${runIdPattern}`);
  const { maxTurns, maxCalls, maxTokens } = { ...to.config, ...definedOf(run) };
  const { frame, end } = startFrame(runId, run, to, false);
  const offer = offerByTurn(() => offerTools(to.live, frame.principal, run));
  const record = memoryRunRecord(run.messages);
  const { conversationId } = run;
  try {
    offer(0); // a selection that cannot be offered is the caller's mistake, not the end of a run
    const agent = { runId, conversationId, model: model.name, provider: model.provider, principal: frame.principal };
    return await inAgentSpan(agent, async (describe) => {
      const runEnd = await driveRun({
        frame,
        record,
        calls: to.calls,
        model,
        offer,
        limits: { ...to.config, maxTurns, maxCalls, maxTokens },
        mode: run.mode ?? 'parallel',
        toolChoice: run.toolChoice,
        parallel: run.parallel,
      });
      const result = resultOf(runId, await record.load(), runEnd);
      describe(result);
      return result;
    });
  } finally {
    end();
  }
}

/** What cannot be offered any more stays on offer as it was: its calls wait for a worker to come. */
function offerByTurn(build: () => Offer): (turn: number) => Offer {
  let current: { turn: number; offer: Offer } | undefined;
  return (turn) => {
    if (current?.turn !== turn) current = { turn, offer: current ? orAsBefore(build, current.offer) : build() };
    return current.offer;
  };
}

function orAsBefore(build: () => Offer, before: Offer): Offer {
  try {
    return build();
  } catch (error) {
    if (error instanceof OfferError) return before;
    throw error;
  }
}

function resultOf(runId: string, history: RunHistory, end: RunEnd): RunResult {
  const last = history.turns.at(-1)?.response.message.content;
  return {
    ...end,
    runId,
    messages: conversationOf(history),
    text: typeof last === 'string' ? last : undefined,
    outcomes: history.turns.flatMap(({ outcomes = [] }) => outcomes),
    turns: history.turns.length,
    usage: usageOf(history.turns),
    traceId: activeTraceId(),
  };
}

const definedOf = <T extends object>(given: T): Partial<T> =>
  Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<T>;
