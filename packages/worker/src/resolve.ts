import { CallError } from '@callyard/shared/failure';
import type { Tool } from '@callyard/shared/tool';
import type { Attempt, WorkerContext } from './attempt.ts';

/** Finds the tool that runs this call. All workers of a pool serve the same tools: if it is not here, it is nowhere. */
export function resolve({ envelope, lost }: Attempt, { tools }: WorkerContext): Tool {
  const tool = tools.resolve(envelope.tool);
  if (!tool) {
    const { name, range } = envelope.tool;
    throw new CallError('tool_unavailable', `No worker serves ${name} in a version that satisfies ${range}.`);
  }
  const { maxLost } = tool.manifest.policy;
  if (lost > maxLost) {
    throw new CallError('lost', `${lost} workers died or lost this call while they ran it; at most ${maxLost} may.`);
  }
  return tool;
}
