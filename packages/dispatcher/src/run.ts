import { randomUUID } from 'node:crypto';
import { runIdPattern } from '@callyard/shared/call';
import { toPrincipal, type Principal } from '@callyard/shared/principal';
import { activeTraceId, inAgentSpan } from '@callyard/shared/telemetry';
import { traceIdIn } from '@callyard/shared/telemetry-context';
import type { TokenBudget } from '@callyard/shared/token-budget';
import { startFrame, type CallerOptions } from './caller.ts';
import type { Connected } from './connect.ts';
import { driveRun } from './loop.ts';
import type { Message, Model, ToolChoice } from './model.ts';
import { offerForTurn } from './offer.ts';
import { offerByTurn } from './offer-by-turn.ts';
import { budgetOf, runBounds } from './run-bounds.ts';
import { logDrive } from './run-lines.ts';
import { countRun } from './run-metrics.ts';
import { memoryRunRecord, summaryOf, type RunEnd, type RunRecord, type RunSummary } from './run-record.ts';

export interface RunOptions extends CallerOptions {
  messages: readonly Message[];
  /** default: the dispatcher's */
  model?: Model;
  toolChoice?: ToolChoice;
  /** whether the model may propose several calls at once; passed through */
  parallel?: boolean;
  maxTurns?: number;
  /** of the whole run; default `maxCalls` of the dispatcher */
  maxCalls?: number;
  maxTokens?: number;
  /** default: a new one. Letters, digits, `_` and `-` */
  runId?: string;
}

export interface RunResult extends RunEnd, RunSummary {
  runId: string;
  traceId: string | undefined;
}

/** Drives a conversation in this process. Rejects only for what the caller did wrong. */
export async function runConversation(run: RunOptions, to: Connected): Promise<RunResult> {
  const model = run.model ?? to.model;
  if (!model) throw new TypeError('run: no model; give one to createDispatcher or to run');
  const runId = run.runId ?? randomUUID();
  if (!runIdPattern.test(runId))
    throw new TypeError(`run: runId ${JSON.stringify(runId)} does not match ${runIdPattern}`);
  const principal = toPrincipal(run.principal);
  const bounds = runBounds(run, principal, to);
  const { frame, parent, end } = startFrame(runId, { ...run, timeoutMs: bounds.timeoutMs }, to, false);
  const { conversationId } = run;
  const begunAt = to.clock.now();
  const offer = offerByTurn((turn) => offerForTurn({ options: run, principal, conversationId, turn }, to));
  const record = spending(memoryRunRecord(run.messages), principal, to.tokens);
  try {
    await offer(0); // a selection that cannot be offered is the caller's mistake, not the end of a run
    const agent = { runId, conversationId, model: model.name, provider: model.provider, principal, parent };
    return await inAgentSpan(agent, async (describe) => {
      const drive = () =>
        driveRun({
          frame,
          record,
          calls: to.calls,
          model,
          offer,
          limits: { ...to.config, ...bounds },
          budget: budgetOf(principal, bounds, to.tokens),
          mode: run.mode ?? 'parallel',
          toolChoice: run.toolChoice,
          parallel: run.parallel,
          prices: to.prices,
        });
      const runEnd = await logDrive(to, { runId, conversationId, principal }, drive);
      countRun(runEnd, begunAt, to.clock.now());
      const traceId = activeTraceId() ?? traceIdIn(frame.carrier);
      const result = { ...runEnd, runId, ...summaryOf(await record.load()), traceId };
      describe(result);
      return result;
    });
  } finally {
    end();
  }
}

/** A record whose responses count as what their user has spent. */
const spending = (record: RunRecord, principal: Principal, tokens: TokenBudget): RunRecord => ({
  ...record,
  async recordResponse(turn, response, chat) {
    const recorded = await record.recordResponse(turn, response, chat);
    const { inputTokens, outputTokens } = response.usage;
    if (inputTokens + outputTokens > 0) await tokens.spend(principal, inputTokens + outputTokens);
    return recorded;
  },
});
