import { toolCallsOf, type AssistantMessage, type RunView } from '@callyard/dispatcher';
import { callKey, type Outcome } from '@callyard/shared/call';
import { plainText } from './chat/plain-text.ts';
import { durationText } from './duration-text.ts';
import { renderTable } from './table.ts';

/** A durable run as a page: where it stands, what became of each call, and what the model said last. */
export function renderRun(run: RunView): string {
  const calls = callRows(run);
  const parts = [renderTable(aboutRun(run)), ...(calls.length > 0 ? [renderTable([head, ...calls])] : [])];
  return [...parts, ...(run.text ? [plainText(run.text)] : [])].join('\n\n');
}

function aboutRun(run: RunView): string[][] {
  const { runId, state, stop, error, owner, userId, conversationId, model, createdAt, deadlineAt, usage } = run;
  const { startedAt, endedAt, holder, holds, cancelled, traceId } = run;
  const rows: [string, string | undefined][] = [
    ['run', runId],
    ['state', stop === undefined || stop === state ? state : `${state} (${stop})`],
    ['error', error],
    ['of', `${owner}/${userId}`],
    ['conversation', conversationId],
    ['model', model],
    ['submitted', new Date(createdAt).toISOString()],
    ['started', startedAt === undefined ? undefined : `${durationText(startedAt - createdAt)} later`],
    ['ended', endedAt === undefined ? undefined : `after ${durationText(endedAt - createdAt)}`],
    ['deadline', endedAt !== undefined ? undefined : new Date(deadlineAt).toISOString()],
    ['driven by', holder],
    ['taken over', holds > 1 ? `${holds - 1} times` : undefined],
    ['cancelled', cancelled && cancelText(cancelled)],
    ['tokens', `${usage.inputTokens} in, ${usage.outputTokens} out`],
    ['trace', traceId],
  ];
  return rows.flatMap(([name, value]) => (value === undefined ? [] : [[name, value]]));
}

function cancelText({ at, by, why }: NonNullable<RunView['cancelled']>): string {
  return `${new Date(at).toISOString()}${by === undefined ? '' : ` by ${by}`}${why === undefined ? '' : `: ${why}`}`;
}

const head = ['TURN', 'CALL', 'TOOL', 'OUTCOME', 'ATTEMPTS', 'TOOK', 'WAITS'];

/** The responses of a run are the last of its messages' assistant messages: those before are of its caller. */
function callRows({ runId, messages, outcomes, turns }: RunView): string[][] {
  const byKey = new Map(outcomes.map((outcome) => [outcome.key, outcome]));
  const said = messages.filter((message): message is AssistantMessage => message.role === 'assistant');
  const own = turns === 0 ? [] : said.slice(-turns);
  return own.flatMap((message, turn) =>
    toolCallsOf(message).map((call, index) => {
      const outcome = byKey.get(callKey({ runId, turn, index }));
      const place = [String(turn), String(index)];
      return outcome ? [...place, ...outcomeCells(outcome)] : [...place, call.function.name, 'under way'];
    }),
  );
}

function outcomeCells({ tool, status, error, attempts, durationMs, waits, cached, degraded }: Outcome): string[] {
  const notes = [...(cached ? ['cached'] : []), ...(degraded ? [`degraded: ${degraded.why}`] : [])];
  const result = error && error.code !== status ? `${status}: ${error.code}` : status;
  return [
    tool.version === '' ? tool.name : `${tool.name}@${tool.version}`,
    [result, ...notes].join(', '),
    String(attempts),
    durationMs === undefined ? '' : durationText(durationMs),
    waits.map(({ reason, ms }) => `${reason} ${durationText(ms)}`).join(', '),
  ];
}
