import type { Outcome } from '@callyard/shared/call';
import { answers } from './conversation.ts';
import type { Message, ModelResponse, Usage } from './model.ts';
import { toolCallsOf } from './read-calls.ts';

/** One model response and the outcomes of the calls in it; `outcomes` is absent while they are being gathered. */
export interface Turn {
  response: ModelResponse;
  outcomes?: Outcome[];
  /** the context of the question, see telemetry-context.ts */
  chat?: string | undefined;
  /** of an open turn that another dispatcher has begun: the pools its calls were enqueued in, by index */
  sentTo?: ReadonlyMap<number, string>;
}

export type RunState = 'queued' | 'running' | 'waiting' | 'completed' | 'failed' | 'cancelled' | 'expired';

/** Why a run ended: the model answered, or what stopped it. */
export type StopReason =
  | 'answer'
  | 'max_turns'
  | 'max_calls'
  | 'max_tokens'
  /** the user's tokens of the day */
  | 'token_budget'
  | 'deadline'
  | 'cancelled'
  | 'truncated'
  | 'filtered'
  | 'failure'
  | 'model_error'
  /** no worker serves a tool that was named */
  | 'tools_unavailable'
  /** a fault of the dispatchers, not of the model or a tool */
  | 'internal_error';

export interface RunEnd {
  state: Extract<RunState, 'completed' | 'failed' | 'cancelled' | 'expired'>;
  stop: StopReason;
  error?: string;
  /** the HTTP status of a model that failed, where it answered with one */
  status?: number;
}

/** What is known of a run: enough for anybody to go on with it. */
export interface RunHistory {
  /** the messages the run began with */
  messages: readonly Message[];
  turns: readonly Turn[];
  end?: RunEnd;
}

/**
 * Where the loop of a run keeps what happened, so that another dispatcher could go on with it. Every write is
 * idempotent and the first one of a turn wins: a second response to the same question is thrown away.
 */
export interface RunRecord {
  load(): Promise<RunHistory>;
  /** Resolves with the recorded response: this one, or the one that was there first. */
  recordResponse(turn: number, response: ModelResponse, chat?: string): Promise<ModelResponse>;
  recordOutcomes(turn: number, outcomes: Outcome[]): Promise<void>;
  /** Resolves with the recorded end: this one, or the one that was there first. */
  finish(end: RunEnd): Promise<RunEnd>;
}

/** A record in memory, for a run that lives and dies with its process. */
export function memoryRunRecord(messages: readonly Message[]): RunRecord {
  const turns: Turn[] = [];
  let end: RunEnd | undefined;
  return {
    load: async () => ({ messages, turns: turns.map((turn) => ({ ...turn })), ...(end && { end }) }),
    async recordResponse(turn, response, chat) {
      turns[turn] ??= { response, chat };
      return turns[turn].response;
    },
    async recordOutcomes(turn, outcomes) {
      const at = turns[turn];
      if (!at) throw new Error(`turn ${turn} has no response yet`);
      at.outcomes ??= outcomes;
    },
    async finish(first) {
      end ??= first;
      return end;
    },
  };
}

/** The conversation as it stands: the messages of the run and of all its turns. */
export function conversationOf({ messages, turns }: RunHistory): Message[] {
  return [
    ...messages,
    ...turns.flatMap(({ response, outcomes = [] }) => [response.message, ...answers(response.message, outcomes)]),
  ];
}

/** What a run has come to, as its caller is told. */
export interface RunSummary {
  /** the messages it began with, and all that were added */
  messages: Message[];
  /** what the model said last, if it was text */
  text: string | undefined;
  /** of every call that has one, in order */
  outcomes: Outcome[];
  turns: number;
  usage: Usage;
}

export function summaryOf(history: RunHistory): RunSummary {
  const { turns } = history;
  return {
    messages: conversationOf(history),
    text: textOf(turns.at(-1)?.response),
    outcomes: turns.flatMap(({ outcomes = [] }) => outcomes),
    turns: turns.length,
    usage: usageOf(turns),
  };
}

/** What a response says, if that is text. */
export function textOf(response: ModelResponse | undefined): string | undefined {
  const content = response?.message.content;
  return typeof content === 'string' ? content : undefined;
}

export function usageOf(turns: readonly Turn[]): Usage {
  return turns.reduce(
    (sum, { response: { usage } }) => ({
      inputTokens: sum.inputTokens + usage.inputTokens,
      outputTokens: sum.outputTokens + usage.outputTokens,
    }),
    { inputTokens: 0, outputTokens: 0 },
  );
}

export const callsIn = (turns: readonly Turn[]): number =>
  turns.reduce((sum, { response }) => sum + toolCallsOf(response.message).length, 0);
