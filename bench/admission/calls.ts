import type { Dispatcher, ExecuteOptions, ToolCall } from '@callyard/dispatcher';

type Executed = Awaited<ReturnType<Dispatcher['execute']>>;
export type Outcome = Executed['outcomes'][number];

export interface Asked {
  user: string;
  tool?: string;
  args?: object;
  roles?: string[];
  class?: ExecuteOptions['class'];
  timeoutMs?: number;
}

/** Asks for this many equal calls of one user at once. */
export async function ask(dispatcher: Dispatcher, count: number, asked: Asked): Promise<Outcome[]> {
  const { user, tool = 'work', args = { ms: 0 }, roles = [], class: jobClass = 'interactive', ...more } = asked;
  const text = JSON.stringify(args);
  const calls = Array.from({ length: count }, (_, i): ToolCall => ({
    id: `call_${i}`,
    type: 'function',
    function: { name: tool, arguments: text },
  }));
  const principal = { owner: 'bench', userId: user, roles };
  const { outcomes } = await dispatcher.execute(calls, { ...more, principal, class: jobClass });
  return outcomes;
}

/** Names of users: `u1` … `un`. */
export const users = (count: number, name = 'u'): string[] =>
  Array.from({ length: count }, (_, i) => `${name}${i + 1}`);

export const completed = (outcomes: readonly Outcome[]): Outcome[] =>
  outcomes.filter(({ status }) => status === 'completed');

/** From enqueue to end, ms, sorted. */
export const latencies = (outcomes: readonly Outcome[]): number[] =>
  completed(outcomes)
    .map(({ startedAt = 0, durationMs = 0, enqueuedAt }) => startedAt + durationMs - enqueuedAt)
    .toSorted((a, b) => a - b);
