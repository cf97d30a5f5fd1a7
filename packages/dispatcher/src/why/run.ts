import { callKey, type Outcome } from '@callyard/shared/call';
import { deadLetterTtlMs } from '@callyard/shared/dead-jobs';
import type { RunFields } from '@callyard/shared/runs/run-store';
import type { Connected } from '../connect.ts';
import { readResponse } from '../durable/durable-record.ts';
import { stateOf } from '../durable/run-view.ts';
import type { RunSpec } from '../durable/run-spec.ts';
import type { RunEnd } from '../run-record.ts';
import { toolCallsOf } from '../read-calls.ts';
import { endedAtOf } from './end.ts';
import type { RunStory, Why } from './story.ts';

/** The calls of a durable run, whoever owns it. */
export async function storyOfRun(runId: string, { store, ledger, config }: Connected): Promise<Why> {
  const fields = await store.read(runId);
  if (!fields) return { kind: 'gone', key: runId, keptMs: config.runKeepMs, deadKeptMs: deadLetterTtlMs };
  const proposed = proposedCalls(runId, fields);
  const outcomes = await ledger.read(proposed.map(({ key }) => key));
  const spec = JSON.parse(fields.spec ?? '') as RunSpec;
  const end = fields.end === undefined ? undefined : (JSON.parse(fields.end) as RunEnd);
  const { conversationId } = spec;
  return {
    kind: 'run',
    runId,
    state: stateOf(fields, end),
    ...(end ? { stop: end.stop } : {}),
    owner: fields.owner ?? '',
    userId: spec.principal.userId,
    ...(conversationId === undefined ? {} : { conversationId }),
    calls: proposed.map((call, i) => ({ ...call, ...becameOf(outcomes[i]) })),
    ...(fields.traceId === undefined ? {} : { traceId: fields.traceId }),
  };
}

function proposedCalls(runId: string, fields: RunFields): { key: string; tool: string }[] {
  const calls: { key: string; tool: string }[] = [];
  for (let turn = 0; fields[`r:${turn}`] !== undefined; turn++) {
    const { response } = readResponse(fields[`r:${turn}`] ?? '');
    const ofTurn = toolCallsOf(response.message).map((call, index) => ({
      key: callKey({ runId, turn, index }),
      tool: call.function.name,
    }));
    calls.push(...ofTurn);
  }
  return calls;
}

function becameOf(outcome: Outcome | undefined): Omit<RunStory['calls'][number], 'key' | 'tool'> {
  if (!outcome) return { status: 'under way' };
  const { status, error, enqueuedAt } = outcome;
  const endedAt = endedAtOf(outcome);
  return {
    status,
    ...(error ? { code: error.code } : {}),
    ...(endedAt === undefined ? {} : { ms: endedAt - enqueuedAt }),
  };
}
