import { isDeepStrictEqual } from 'node:util';
import type { AssistantMessage, Dispatcher, Message, PrincipalInput, RunResult } from '@callyard/dispatcher';
import type { Outcome } from '@callyard/shared/call';
import type { CallsCase, ConversationCase, ReplayCase } from './cases.ts';
import { type DefinitionVersions, recordedRunId, runsOf } from './recorded-tools.ts';
import type { ReplayModel } from './replay-model.ts';

/** What came of a case. */
export interface CaseResult {
  outcomes: Outcome[];
  /** calls the recording holds */
  expectedCalls: number;
  /** the answers stand in the order of the calls, one for each */
  ordered: boolean;
  /** the conversation is the recorded one, message by message */
  equal: boolean;
}

export interface ReplayRunner {
  dispatcher: Dispatcher;
  model: ReplayModel;
  versions: DefinitionVersions;
  /** makes the run ids of this replay its own; holds no `_` */
  replayId: string;
}

const principal: PrincipalInput = { owner: 'replay', userId: 'recorded' };
const lastWord: AssistantMessage = { role: 'assistant', content: 'Done.' };

export function runCase(one: ReplayCase, runner: ReplayRunner): Promise<CaseResult> {
  return one.kind === 'calls' ? runCalls(one, runner) : runConversation(one, runner);
}

/** One turn proposes all calls of the case, the next one ends the run. */
export async function runCalls(one: CallsCase, runner: ReplayRunner, suffix = ''): Promise<CaseResult> {
  const { dispatcher, model, versions, replayId } = runner;
  const runId = `${replayId}_${recordedRunId(one.id, 0)}${suffix}`;
  const proposal: AssistantMessage = { role: 'assistant', content: null, tool_calls: one.calls };
  model.script(runId, [proposal, lastWord]);
  const tools = one.tools.map((tool) => `${tool.name}@${versions.versionOf(tool)}`);
  const { outcomes, messages } = await dispatcher.run({
    runId,
    conversationId: one.id,
    messages: one.messages,
    principal,
    tools,
    model: model.model,
  });
  model.forget(runId);
  const answers = messages.slice(one.messages.length + 1, -1);
  return {
    outcomes,
    expectedCalls: one.calls.length,
    ordered: isOrdered(
      one.calls.map(({ id }) => id),
      outcomes,
      answers,
    ),
    equal: answers.every((answer, i) => echoes(answer, one.calls[i]?.function.arguments, outcomes[i])),
  };
}

/** A completed call answers with its arguments, any other with its error. */
function echoes(answer: Message, args: string | undefined, outcome: Outcome | undefined): boolean {
  if (typeof answer.content !== 'string' || args === undefined || !outcome) return false;
  const content: unknown = JSON.parse(answer.content);
  if (outcome.status === 'completed') return isDeepStrictEqual(content, JSON.parse(args));
  return (content as { error: { code: string } }).error.code === outcome.error?.code;
}

/** Each user message of the recording begins a run; what it leads to must be what was recorded. */
async function runConversation(one: ConversationCase, runner: ReplayRunner): Promise<CaseResult> {
  const { dispatcher, model, replayId } = runner;
  const runs = runsOf(one);
  let messages = one.messages.slice(0, runs[0]?.from ?? one.messages.length);
  const results: RunResult[] = [];
  for (const [index, { from, to }] of runs.entries()) {
    const runId = `${replayId}_${recordedRunId(one.id, index)}`;
    const lines = one.messages.slice(from, to).filter((message) => message.role === 'assistant');
    model.script(runId, lines);
    // A recording that stops at a tool's answer asks the model no more.
    const limits = { maxTurns: lines.length };
    const result = await dispatcher.run({
      runId,
      conversationId: one.id,
      messages,
      principal,
      model: model.model,
      ...limits,
    });
    model.forget(runId);
    results.push(result);
    const next = runs[index + 1]?.from ?? one.messages.length;
    messages = [...result.messages, ...one.messages.slice(to, next)];
  }
  const outcomes = results.flatMap((result) => result.outcomes);
  const calls = one.messages.flatMap((message) => (message.role === 'assistant' ? (message.tool_calls ?? []) : []));
  const answers = messages.filter(({ role }) => role === 'tool');
  return {
    outcomes,
    expectedCalls: calls.length,
    ordered: isOrdered(
      calls.map(({ id }) => id),
      outcomes,
      answers,
    ),
    equal: isDeepStrictEqual(messages, one.messages),
  };
}

function isOrdered(ids: readonly string[], outcomes: readonly Outcome[], answers: readonly Message[]): boolean {
  return (
    answers.length === ids.length &&
    ids.every((id, i) => outcomes[i]?.call.id === id && (answers[i] as { tool_call_id?: string }).tool_call_id === id)
  );
}
