import { callKey, type Outcome } from '@callyard/shared/call';
import type { Ledger } from '@callyard/shared/ledger';
import { RunError } from '@callyard/shared/runs/run-error';
import { finishedEvent, type ProposedEvent, type RunEventBody } from '@callyard/shared/runs/run-event';
import type { RunFence, RunFields, RunStore } from '@callyard/shared/runs/run-store';
import type { Message, ModelResponse } from '../model.ts';
import { toolCallsOf } from '../read-calls.ts';
import { HoldEnd } from '../run-over.ts';
import { conversationOf, textOf, type RunEnd, type RunHistory, type RunRecord, type Turn } from '../run-record.ts';
import { messageTexts } from './run-spec.ts';

/** A response as it is recorded: with the tools that were offered, as only they may be called in its turn. */
export interface RecordedResponse {
  response: ModelResponse;
  /** `name version range` */
  offered: readonly string[];
  /** the context of the question, if it was traced */
  chat?: string | undefined;
}

/** As much of a call's arguments as an event carries. */
const maxShownArguments = 1_000;

export interface DurableRecordOptions {
  store: RunStore;
  hold: RunFence;
  /** where the record stood when it was taken over */
  history: RunHistory;
  /** how many of the history's messages are from before the run */
  before: number;
  /** the tools a turn was offered, `name version range` */
  offered: (turn: number) => Promise<readonly string[]>;
  /** where the user's tokens of the day are counted */
  spent: () => { key: string; ttlMs: number };
  /** of outcomes, from now */
  outcomeTtlMs: () => number;
  /** told of the end that this holder has written */
  onEnd?: (end: RunEnd) => void;
  keepMs: number;
  conversationTtlMs: number;
}

/**
 * The record of a run in Redis, under one hold. The holder is the only writer, so what it wrote is read from here; what
 * another dispatcher did meanwhile shows as a write that is refused: `HoldEnd`.
 */
export function durableRunRecord(options: DurableRecordOptions): RunRecord {
  const { store, hold, history } = options;
  const turns = history.turns.map((turn) => ({ ...turn }));
  let { end } = history;
  return {
    load: async () => ({ ...history, turns: turns.map((turn) => ({ ...turn })), ...(end && { end }) }),
    async recordResponse(turn, response, chat) {
      const recorded: RecordedResponse = { response, offered: await options.offered(turn), chat };
      const { inputTokens, outputTokens } = response.usage;
      const answer = await store.recordResponse(hold, {
        turn,
        text: JSON.stringify(recorded),
        tokens: inputTokens + outputTokens,
        spent: options.spent(),
        events: [finished(hold.runId, turn, response)],
      });
      refuse(answer.kind);
      turns[turn] ??= turnOf(answer.kind === 'standing' ? readResponse(answer.text) : recorded);
      return turns[turn].response;
    },
    async recordOutcomes(turn, outcomes) {
      const write = (all: boolean) =>
        store.recordOutcomes(hold, { turn, ttlMs: options.outcomeTtlMs(), outcomes: written(outcomes, all) });
      let answer = await write(false);
      // Forgotten by the ledger although its time is not over: Redis was restarted with less than it had.
      if (answer.kind === 'lost') answer = await write(true);
      refuse(answer.kind);
      if (answer.kind === 'early') throw new Error(`turn ${turn} has no response yet`);
      const at = turns[turn];
      if (at) at.outcomes ??= outcomes;
    },
    async finish(first) {
      const finish = (as: RunEnd) =>
        store.finish(hold, {
          end: as,
          keepMs: options.keepMs,
          conversationTtlMs: options.conversationTtlMs,
          messages: messageTexts(added(history.messages.slice(options.before), turns)),
        });
      const cancelled: RunEnd = { state: 'cancelled', stop: 'cancelled', error: 'the run was cancelled' };
      let wanted = first;
      let answer = await finish(wanted);
      if (answer.kind === 'cancelled') answer = await finish((wanted = cancelled));
      refuse(answer.kind);
      if (answer.kind === 'written') options.onEnd?.(wanted);
      end ??= answer.kind === 'standing' ? (JSON.parse(answer.text) as RunEnd) : wanted;
      return end;
    },
  };
}

function refuse(kind: string): void {
  if (kind === 'stale' || kind === 'gone') throw new HoldEnd(kind);
}

/** What the ledger has from a worker need not be sent again. */
const written = (outcomes: readonly Outcome[], all: boolean) =>
  outcomes.map((outcome) => {
    const { key, settledBy } = outcome;
    const isSent = all || settledBy === 'dispatcher';
    return { key, ...(isSent ? { here: { text: JSON.stringify(outcome), event: finishedEvent(outcome) } } : {}) };
  });

/** What a run adds to its conversation: a turn whose calls have no outcomes is left out, as no model would take it. */
const added = (messages: readonly Message[], turns: readonly Turn[]): Message[] =>
  conversationOf({ messages, turns: turns.filter(({ outcomes }) => outcomes !== undefined) });

function finished(runId: string, turn: number, response: ModelResponse): RunEventBody {
  const calls = toolCallsOf(response.message).map(
    ({ id, function: { name, arguments: text } }, index): ProposedEvent => ({
      key: callKey({ runId, turn, index }),
      id,
      tool: name,
      arguments: text.slice(0, maxShownArguments),
    }),
  );
  return { type: 'model.finished', turn, text: textOf(response), calls };
}

const turnOf = ({ response, chat }: RecordedResponse): Turn => ({ response, chat });

export const readResponse = (text: string): RecordedResponse => JSON.parse(text) as RecordedResponse;

/** The history that the fields of a record tell, with the outcomes from the ledger. `before` are messages, JSON. */
export async function readHistory(
  fields: RunFields,
  before: readonly string[],
  ledger: Pick<Ledger, 'read'>,
): Promise<RunHistory> {
  const own = JSON.parse(fields.messages ?? '[]') as Message[];
  const messages = [...before.map((text) => JSON.parse(text) as Message), ...own];
  const turns: Turn[] = [];
  for (let at = 0; fields[`r:${at}`] !== undefined; at++) turns.push(await readTurn(fields, at, ledger));
  return { messages, turns, ...(fields.end === undefined ? {} : { end: JSON.parse(fields.end) as RunEnd }) };
}

async function readTurn(fields: RunFields, at: number, ledger: Pick<Ledger, 'read'>): Promise<Turn> {
  const turn = turnOf(readResponse(fields[`r:${at}`] ?? ''));
  const keys = fields[`o:${at}`];
  if (keys === undefined) return { ...turn, sentTo: sentTo(fields, at) };
  const outcomes = await ledger.read(keys === '' ? [] : keys.split(' '));
  return { ...turn, outcomes: outcomes.map((outcome) => outcome ?? lostOutcome(at)) };
}

/** They are kept longer than the record, so only a Redis that forgets has no outcome for it. */
function lostOutcome(turn: number): never {
  throw new RunError('gone', `Redis has lost outcomes of turn ${turn}.`);
}

function sentTo(fields: RunFields, at: number): Map<number, string> {
  const prefix = `c:${at}.`;
  const places = Object.entries(fields).filter(([field]) => field.startsWith(prefix));
  return new Map(places.map(([field, pool]) => [Number(field.slice(prefix.length)), pool]));
}
