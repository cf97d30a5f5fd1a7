import type { LimitRules } from '@callyard/shared/admission/limit-rules';
import { resolveBudget } from '@callyard/shared/budget';
import type { DispatcherConfig } from '@callyard/shared/config';
import type { Principal } from '@callyard/shared/principal';
import type { TokenBudget } from '@callyard/shared/token-budget';
import type { LoopOptions } from './loop.ts';

/** What a run may be told to take at most. */
export interface AskedBounds {
  maxTurns?: number | undefined;
  maxCalls?: number | undefined;
  maxTokens?: number | undefined;
  timeoutMs?: number | undefined;
}

/** What a run may take: what was asked for, or the dispatcher's setting, and no more than its principal may. */
export interface RunBounds {
  maxTurns: number;
  maxCalls: number;
  maxTokens: number;
  timeoutMs: number;
  /** of the user, in all runs */
  tokensPerDay?: number;
}

export function runBounds(
  asked: AskedBounds,
  principal: Principal,
  { config, rules }: { config: DispatcherConfig; rules: Pick<LimitRules, 'budgets'> },
): RunBounds {
  const budget = resolveBudget(principal, rules.budgets);
  const least = (wanted: number, allowed = Number.POSITIVE_INFINITY) => Math.min(wanted, allowed);
  return {
    maxTurns: least(asked.maxTurns ?? config.maxTurns, budget.maxTurns),
    maxCalls: least(asked.maxCalls ?? config.maxCalls, budget.maxCalls),
    maxTokens: least(asked.maxTokens ?? config.maxTokens, budget.maxTokens),
    timeoutMs: least(asked.timeoutMs ?? config.runTimeoutMs, budget.maxRunMs),
    ...(budget.tokensPerDay === undefined ? {} : { tokensPerDay: budget.tokensPerDay }),
  };
}

/** What the user has left of the day, where that is bounded. */
export function budgetOf(
  principal: Principal,
  { tokensPerDay }: Pick<RunBounds, 'tokensPerDay'>,
  tokens: Pick<TokenBudget, 'used'>,
): LoopOptions['budget'] {
  if (tokensPerDay === undefined) return undefined;
  return { left: async () => tokensPerDay - (await tokens.used(principal)) };
}
