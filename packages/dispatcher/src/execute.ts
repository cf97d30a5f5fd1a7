import { createHash, randomUUID } from 'node:crypto';
import type { Outcome } from '@callyard/shared/call';
import { inCallsSpan } from '@callyard/shared/telemetry';
import { startFrame, type CallerOptions } from './caller.ts';
import type { Connected } from './connect.ts';
import { toolMessage } from './conversation.ts';
import type { ToolCall, ToolMessage } from './model.ts';
import { offerEverything, offerTools } from './offer.ts';
import { readCalls } from './read-calls.ts';

export interface ExecuteOptions extends CallerOptions {
  /** repeating a key attaches to the calls that are under way or done, instead of running them twice */
  key?: string;
}

export interface Executed {
  outcomes: Outcome[];
  /** one for each call, ready to be appended to a conversation */
  messages: ToolMessage[];
}

/** Runs the calls of somebody else's loop. */
export async function executeCalls(
  toolCalls: readonly ToolCall[],
  execute: ExecuteOptions,
  to: Connected,
): Promise<Executed> {
  const { principal, key, mode = 'parallel' } = execute;
  const runId = key === undefined ? randomUUID() : ownedKey(principal.owner, key);
  const { frame, parent, end } = startFrame(runId, execute, to, key !== undefined);
  try {
    // Without a selection any live tool: its worker still checks what it requires.
    const offer = execute.tools
      ? offerTools(to.live, frame.principal, execute)
      : offerEverything(to.live, execute.versions);
    const limits = { maxArgumentBytes: to.config.maxArgumentBytes, room: to.config.maxCalls };
    const proposed = readCalls(toolCalls, offer, limits);
    const outcomes = await inCallsSpan({ ...frame, parent }, () =>
      mode === 'parallel'
        ? to.calls.run(frame, 0, proposed)
        : to.calls.runInOrder(frame, 0, proposed, mode === 'sequential-until-failure'),
    );
    return { outcomes, messages: outcomes.map(toolMessage) };
  } finally {
    end();
  }
}

/** A caller's key belongs to its owner, so two owners may use the same one and never see each other's outcomes. */
const ownedKey = (owner: string, key: string): string =>
  `k-${createHash('sha256')
    .update(JSON.stringify([owner, key]))
    .digest('hex')
    .slice(0, 32)}`;
