import Type from 'typebox';
import { Value } from 'typebox/value';
import { Limit, limitProblems } from './admission/limit.ts';
import { problemsOf } from './schema-problems.ts';

/** A timer that is set to more fires at once. */
export const longestTimerMs = 2 ** 31 - 1;

const Ms = (options: { description: string; default?: number; minimum?: number }) =>
  Type.Integer({ minimum: 0, maximum: longestTimerMs, ...options });

const HostName = Type.String({ minLength: 1, maxLength: 253 });
const HostObject = Type.Object(
  { host: HostName, internal: Type.Boolean({ default: false }), trace: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
);

/** A host `ctx.fetch` may reach; `internal` lets it have a private address, `trace` tells it the trace (default: no). */
const Host = Type.Union([HostName, HostObject]);

/** Results of equal calls may be kept: only where a call changes nothing. */
export const CachePolicy = Type.Object(
  {
    ttlMs: Ms({ description: 'a result is fresh for this long', minimum: 1 }),
    scope: Type.Union([Type.Literal('user'), Type.Literal('owner'), Type.Literal('shared')], {
      default: 'user',
      description: 'who may get the result of whom',
    }),
    staleIfErrorMs: Ms({ description: 'and for this long after, where the tool fails', default: 0 }),
    maxBytes: Type.Integer({ minimum: 1, default: 65_536, description: 'larger results are not kept' }),
  },
  { additionalProperties: false },
);
export type CachePolicy = Type.Static<typeof CachePolicy>;

/** After so many failures in a row a worker stops asking the service behind a tool, and then tries it with one call. */
export const BreakerPolicy = Type.Object(
  {
    failures: Type.Integer({
      minimum: 1,
      maximum: 10_000,
      default: 5,
      description: 'failed attempts in a row that open the circuit, each worker counting its own',
    }),
    halfOpenAfterMs: Ms({
      description: 'an open circuit lets one call through after this',
      minimum: 1,
      default: 10_000,
    }),
  },
  { additionalProperties: false },
);
export type BreakerPolicy = Type.Static<typeof BreakerPolicy>;

/** Of a tool that may need a person's approval: who gives it, and in what time. */
export const ApprovalPolicy = Type.Object(
  {
    requires: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
      default: [],
      description: 'what it takes to decide, as in `requires` below; by default anybody of the same owner may',
    }),
    timeoutMs: Ms({
      description: 'a call that nobody decided on is refused after this; its deadline may end it sooner',
      minimum: 1,
      default: 86_400_000,
    }),
  },
  { additionalProperties: false },
);
export type ApprovalPolicy = Type.Static<typeof ApprovalPolicy>;

/** How a tool wants to be run. The running worker's copy decides, never the sender's. */
export const Policy = Type.Object(
  {
    timeoutMs: Ms({ description: 'one attempt may take this long', minimum: 1, default: 30_000 }),
    retry: Type.Object(
      {
        attempts: Type.Integer({ minimum: 1, maximum: 100, default: 3, description: 'executions at most' }),
        minDelayMs: Ms({ description: 'upper bound of the first full-jitter delay; doubles each time', default: 200 }),
        maxDelayMs: Ms({ description: 'upper bound of every delay', default: 10_000 }),
      },
      { additionalProperties: false, default: {} },
    ),
    maxLost: Type.Integer({ minimum: 0, default: 3, description: 'dead workers tolerated before the call is `lost`' }),
    requires: Type.Array(Type.String({ minLength: 1, maxLength: 128 }), {
      default: [],
      description: 'permissions, or `role:name`; all are needed',
    }),
    effects: Type.Union([Type.Literal('none'), Type.Literal('idempotent'), Type.Literal('at-most-once')], {
      default: 'idempotent',
      description: '`at-most-once` is never started twice: attempts is 1, a dead worker means `outcome_unknown`',
    }),
    hosts: Type.Array(Host, { default: [], description: 'what `ctx.fetch` may reach; nothing by default' }),
    upstreamKey: Type.Union([Type.Literal('tool'), Type.Literal('user')], {
      default: 'tool',
      description:
        "whose key the service behind the tool counts: a `Retry-After` blocks the tool, or one user's calls of it",
    }),
    limits: Type.Array(Limit, {
      default: [],
      description: 'rates, concurrency and quotas; all of them must have room',
    }),
    cache: Type.Optional(CachePolicy),
    breaker: Type.Optional(BreakerPolicy),
    approval: Type.Optional(ApprovalPolicy),
    sequential: Type.Boolean({ default: false, description: 'a turn that holds this tool runs its calls one by one' }),
    isolate: Type.Boolean({ default: false, description: 'run the handler in a child process that can be killed' }),
  },
  { additionalProperties: false },
);
export type Policy = Type.Static<typeof Policy>;

/** What an author writes: everything is optional. */
export type PolicyInput = Partial<Omit<Policy, 'retry' | 'hosts' | 'cache' | 'breaker' | 'approval'>> & {
  cache?: Pick<CachePolicy, 'ttlMs'> & Partial<CachePolicy>;
  breaker?: Partial<BreakerPolicy>;
  approval?: Partial<ApprovalPolicy>;
  retry?: Partial<Policy['retry']>;
  hosts?: (string | { host: string; internal?: boolean; trace?: boolean })[];
};

/** Fills in the defaults and says everything that is wrong. `at-most-once` has one attempt, whatever is written. */
export function readPolicy(input: PolicyInput): { policy: Policy; problems: string[] } {
  const policy = Value.Default(Policy, Value.Clone(input)) as Policy;
  const problems = problemsOf(policy, Policy).map(({ pointer, problem }) => `policy${pointer}: ${problem}`);
  if (problems.length === 0) {
    const faults = policy.limits.flatMap((limit, i) => limitProblems(limit).map((one) => `policy/limits/${i}: ${one}`));
    problems.push(...faults);
  }
  if (policy.cache && policy.effects !== 'none')
    problems.push(`policy/cache: results are kept only of tools with effects: 'none', not '${policy.effects}'`);
  if (problems.length === 0 && policy.effects === 'at-most-once') policy.retry.attempts = 1;
  return { policy, problems };
}
