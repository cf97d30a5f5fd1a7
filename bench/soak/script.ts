import type { AssistantMessage, Message, RunView } from '@callyard/dispatcher';

/* What the runs of the soak say: each of their turns proposes three calls, whose arguments name their place. */

export const turns = 3;
export const callsPerTurn = 3;
export const modelMs = 50;
export const toolMs = 20;
export const modelName = 'soak';

export const tools = ['effect', 'effect_once'];

/** The last call of each turn may take effect once only. */
const toolAt = (index: number): string => (index === callsPerTurn - 1 ? 'effect_once' : 'effect');

interface Place {
  run: number;
  turn: number;
  index: number;
}

/** The number of a run is what it is asked. */
export const question = (run: number): Message => ({ role: 'user', content: String(run) });

const runOf = (messages: readonly Message[]): number => Number(messages[0]?.content);

export function lineOf(messages: readonly Message[], turn: number): AssistantMessage {
  const run = runOf(messages);
  if (turn === turns) return { role: 'assistant', content: `done ${run}` };
  const calls = Array.from({ length: callsPerTurn }, (_, index) => ({
    id: `call_${index}`,
    type: 'function' as const,
    function: { name: toolAt(index), arguments: JSON.stringify({ run, turn, index } satisfies Place) },
  }));
  return { role: 'assistant', content: null, tool_calls: calls };
}

/** What is wrong with the conversation of a run; an at-most-once call whose worker was killed may be unknown. */
export function faultsIn({ messages, state, runId }: RunView): string[] {
  const faults = state === 'completed' ? [] : [`${runId} is ${state}`];
  const run = runOf(messages);
  const wanted: Message[] = [question(run)];
  for (let turn = 0; turn <= turns; turn++) {
    wanted.push(lineOf(messages, turn));
    if (turn === turns) break;
    for (let index = 0; index < callsPerTurn; index++)
      wanted.push(answerOf({ run, turn, index }, messages[wanted.length]));
  }
  if (JSON.stringify(messages) !== JSON.stringify(wanted)) faults.push(`${runId} has another conversation`);
  return faults;
}

function answerOf(place: Place, got: Message | undefined): Message {
  const name = toolAt(place.index);
  const isUnknown = name === 'effect_once' && String(got?.content).includes('"outcome_unknown"');
  const content = isUnknown ? got?.content : JSON.stringify(place);
  return { role: 'tool', tool_call_id: `call_${place.index}`, name, content };
}
