import { readFileSync } from 'node:fs';
import Type from 'typebox';
import { Value } from 'typebox/value';
import { BudgetRule, budgetProblems } from '../budget.ts';
import { ConfigError } from '../config.ts';
import { problemsOf } from '../schema-problems.ts';
import { limitProblems, limitProperties } from './limit.ts';
import { Name, whoseProperties } from './whose.ts';

/** Whose calls a rule is about; all that is given must fit. */
const For = Type.Object({ ...whoseProperties, tool: Type.Optional(Name) }, { additionalProperties: false });

/** A limit that configuration lays on calls, beside those their tools declare. Without `for` it is on all. */
export const LimitRule = Type.Object({ ...limitProperties, for: Type.Optional(For) }, { additionalProperties: false });
export type LimitRule = Type.Static<typeof LimitRule>;

export const LimitRules = Type.Object(
  {
    limits: Type.Array(LimitRule, { default: [] }),
    budgets: Type.Array(BudgetRule, {
      default: [],
      description: 'what runs may take; of all that apply the strictest',
    }),
    weights: Type.Record(Name, Type.Number({ exclusiveMinimum: 0, maximum: 1_000 }), {
      default: {},
      description: 'role → share of its users against those of others; default 1 each',
    }),
  },
  { additionalProperties: false },
);
export type LimitRules = Type.Static<typeof LimitRules>;

/** Rules that cannot be used; the message names every place that is wrong. */
export class LimitRulesError extends ConfigError {
  override name = 'LimitRulesError';
}

/** @throws LimitRulesError */
export function readLimitRules(data: unknown): LimitRules {
  const filled = Value.Default(LimitRules, Value.Clone(data));
  const problems = problemsOf(filled, LimitRules).map(({ pointer, problem }) => `${pointer || '/'}: ${problem}`);
  if (problems.length > 0) throw new LimitRulesError(listed(problems));
  const rules = filled as LimitRules;
  const faults = [
    ...rules.limits.flatMap((rule, i) => limitProblems(rule).map((problem) => `/limits/${i}: ${problem}`)),
    ...rules.budgets.flatMap((rule, i) => budgetProblems(rule).map((problem) => `/budgets/${i}: ${problem}`)),
  ];
  if (faults.length > 0) throw new LimitRulesError(listed(faults));
  return rules;
}

/** @throws LimitRulesError which names the file */
export function loadLimitRules(file: string): LimitRules {
  try {
    return readLimitRules(JSON.parse(readFileSync(file, 'utf8')));
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new LimitRulesError(`the limits in ${file} cannot be used: ${why}`, { cause: error });
  }
}

const listed = (problems: readonly string[]): string =>
  `wrong limits:\n${problems.map((one) => `  ${one}`).join('\n')}`;
