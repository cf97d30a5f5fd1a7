import { readFileSync } from 'node:fs';
import type { Message } from '@callyard/dispatcher';
import { defineTool, type Tool } from '@callyard/worker';
import type { ConversationCase, RecordedTool, ReplayCase } from './cases.ts';

/** The version each distinct definition has among those of its name: a major, so that no range spans two of them. */
export class DefinitionVersions {
  readonly #byName = new Map<string, Map<string, string>>();

  /** Numbers definitions in the order they come, so every process that reads the same file agrees. */
  versionOf({ name, description, parameters }: RecordedTool): string {
    const versions = this.#byName.get(name) ?? new Map<string, string>();
    this.#byName.set(name, versions);
    const definition = JSON.stringify([description, parameters]);
    const version = versions.get(definition) ?? `${versions.size + 1}.0.0`;
    versions.set(definition, version);
    return version;
  }
}

/** The tools of `{tools, tool_calls}` cases: each distinct definition once; the handler returns its arguments. */
export function echoTools(cases: readonly ReplayCase[]): Tool[] {
  const versions = new DefinitionVersions();
  const tools = new Map<string, Tool>();
  for (const one of cases) {
    if (one.kind !== 'calls') continue;
    for (const definition of one.tools) {
      const version = versions.versionOf(definition);
      const id = `${definition.name}@${version}`;
      if (!tools.has(id))
        tools.set(
          id,
          recordedTool(definition, version, (args) => args),
        );
    }
  }
  return [...tools.values()];
}

/** The tools of recorded conversations: each answers with what was recorded for that very call. */
export function recordedTools(file: string, cases: readonly ReplayCase[]): Tool[] {
  const results = recordedResults(cases.filter((one) => one.kind === 'conversation'));
  const definitions = Object.values(JSON.parse(readFileSync(file, 'utf8')) as Record<string, RecordedTool>);
  return definitions.map((definition) =>
    recordedTool(definition, '1.0.0', (_args, callId) => {
      const result = results.get(callId);
      if (result === undefined) throw new TypeError(`nothing is recorded for call ${callId}`);
      return result;
    }),
  );
}

function recordedTool(
  { name, description = '', parameters }: RecordedTool,
  version: string,
  answer: (args: unknown, place: string) => unknown,
): Tool {
  return defineTool({
    name,
    version,
    description: description || name,
    parameters,
    policy: { effects: 'none' },
    handler: (args, { idempotencyKey }) => answer(args, idempotencyKey.slice(idempotencyKey.indexOf('_') + 1)),
  });
}

/** The runs of a recorded conversation: each user message begins one, which goes on to the next. */
export interface RecordedRun {
  /** where the messages of the run begin: the ones before it are its history */
  from: number;
  /** where the next run begins */
  to: number;
}

export function runsOf({ messages }: ConversationCase): RecordedRun[] {
  const starts = messages.flatMap((message, at) => {
    const before = messages[at - 1]?.role;
    return message.role !== 'user' && message.role !== 'system' && (before === 'user' || before === 'system')
      ? [at]
      : [];
  });
  return starts.map((from) => {
    const next = messages.findIndex((message, at) => at > from && message.role === 'user');
    return { from, to: next === -1 ? messages.length : next };
  });
}

/** The run id of the nth run of a case, which a replay makes its own by a prefix up to the first `_`. */
export const recordedRunId = (caseId: string, run: number): string => `${caseId.replace(/[^\w-]/g, '-')}-r${run}`;

/** Results by the place of their call, `runId.turn.index`: provider ids repeat even within one conversation. */
function recordedResults(cases: readonly ConversationCase[]): Map<string, unknown> {
  const results = new Map<string, unknown>();
  for (const one of cases) {
    for (const [run, { from, to }] of runsOf(one).entries()) {
      collectResults(one.messages.slice(from, to), recordedRunId(one.id, run), results);
    }
  }
  return results;
}

function collectResults(messages: readonly Message[], runId: string, results: Map<string, unknown>): void {
  let turn = -1;
  let index = 0;
  for (const message of messages) {
    if (message.role === 'assistant') {
      turn += 1;
      index = 0;
    } else if (message.role === 'tool' || message.role === 'function') {
      results.set(`${runId}.${turn}.${index}`, message.content);
      index += 1;
    }
  }
}
