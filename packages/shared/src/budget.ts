import Type from 'typebox';
import { isAbout, whoseProperties } from './admission/whose.ts';
import { longestTimerMs } from './policy.ts';
import type { Principal } from './principal.ts';

const strict = { additionalProperties: false };
const Count = (description: string) => Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, description });

const budgetProperties = {
  maxTurns: Type.Optional(Count('model responses in a run')),
  maxCalls: Type.Optional(Count('calls in a run')),
  maxTokens: Type.Optional(Count('input and output tokens in a run; one response may pass it')),
  maxRunMs: Type.Optional(Type.Integer({ minimum: 1, maximum: longestTimerMs, description: 'the deadline of a run' })),
  tokensPerDay: Type.Optional(
    Count('input and output tokens of each user in all runs of a day (UTC); each run may pass it by one response'),
  ),
};

/** What runs may take. Without `for` it is on all of them. */
export const BudgetRule = Type.Object(
  { for: Type.Optional(Type.Object(whoseProperties, strict)), ...budgetProperties },
  strict,
);
export type BudgetRule = Type.Static<typeof BudgetRule>;

/** What the runs of a principal may take. */
export type Budget = Omit<BudgetRule, 'for'>;

const bounds = Object.keys(budgetProperties) as (keyof Budget)[];

/** What a schema cannot say of a budget. */
export const budgetProblems = (rule: BudgetRule): string[] =>
  bounds.some((bound) => rule[bound] !== undefined) ? [] : [`it bounds nothing; give ${bounds.join(', ')}`];

/** Of all the rules about a principal the strictest, bound by bound. */
export function resolveBudget(principal: Principal, rules: readonly BudgetRule[]): Budget {
  const own = rules.filter((rule) => isAbout(rule.for ?? {}, principal));
  return strictest(own);
}

/** The least that is given of each bound. */
function strictest(budgets: readonly Budget[]): Budget {
  const given = bounds.flatMap((bound) => {
    const values = budgets.flatMap((budget) => budget[bound] ?? []);
    return values.length === 0 ? [] : [[bound, Math.min(...values)] as const];
  });
  return Object.fromEntries(given);
}
