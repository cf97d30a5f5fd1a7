import { toolCallsOf, type Message, type RunResult } from '@callyard/dispatcher';
import type { Outcome } from '@callyard/shared/call';
import type { ReceivedSpan } from '../otlp-receiver.ts';
import { renderTable } from '../table.ts';
import { renderTraceTree } from '../trace-tree.ts';
import type { Scene } from './scenes.ts';

export interface PlayedScene {
  scene: Scene;
  result: RunResult;
  elapsedMs: number;
}

const maxShown = 150;
const short = (text: string): string => (text.length > maxShown ? `${text.slice(0, maxShown - 1)}…` : text);

export function renderConversation({ scene, result, elapsedMs }: PlayedScene): string {
  const lines = result.messages.flatMap((message) => renderMessage(message, scene.principal.userId));
  return [`── ${scene.title}`, ...lines, speedUp(result.outcomes, elapsedMs)].filter((line) => line !== '').join('\n');
}

function renderMessage(message: Message, userId: string): string[] {
  const content = typeof message.content === 'string' ? short(message.content) : undefined;
  switch (message.role) {
    case 'user':
      return [`   ${userId}: ${content}`];
    case 'assistant': {
      const proposed = toolCallsOf(message).map(
        ({ function: { name, arguments: args } }) => `   model → ${name} ${short(args)}`,
      );
      return content === undefined ? proposed : [...proposed, `   model: ${content}`];
    }
    case 'tool':
      return [`   ${message.name} → ${content}`];
    default:
      return [];
  }
}

function speedUp(outcomes: readonly Outcome[], elapsedMs: number): string {
  const work = outcomes.reduce((sum, { durationMs = 0 }) => sum + durationMs, 0);
  return work > elapsedMs * 1.5 ? `   (${Math.round(work)} ms of tools in ${Math.round(elapsedMs)} ms)` : '';
}

export function renderCalls(played: readonly PlayedScene[]): string {
  const head = ['USER', 'TOOL', 'WORKER', 'WAITED', 'TOOK', 'ATTEMPTS', 'OUTCOME'];
  const rows = played.flatMap(({ scene, result }) =>
    result.outcomes.map((outcome) => row(scene.principal.userId, outcome)),
  );
  return renderTable([head, ...rows]);
}

function row(
  userId: string,
  { tool, worker = '–', waits, durationMs = 0, attempts, status, error }: Outcome,
): string[] {
  const waited = waits.map(({ reason, ms }) => `${Math.round(ms)} ms ${reason}`).join(' + ');
  return [
    userId,
    tool.name,
    worker,
    waited,
    `${Math.round(durationMs)} ms`,
    String(attempts),
    error ? `${status}: ${error.code}` : status,
  ];
}

/** The trace of the scene in which most happened: an attempt that failed. */
export function renderTrace(played: readonly PlayedScene[], spans: readonly ReceivedSpan[]): string {
  const eventful = played.find(({ result }) => result.outcomes.some(({ attempts }) => attempts > 1)) ?? played[0];
  const trace = spans.filter(({ traceId }) => traceId === eventful?.result.traceId);
  return `── The trace of ${eventful?.scene.principal.userId}'s run (${trace.length} spans)\n${renderTraceTree(trace)}`;
}
