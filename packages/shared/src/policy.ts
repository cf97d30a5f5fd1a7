import Type from 'typebox';
import { Compile } from 'typebox/compile';
import { Value } from 'typebox/value';
import { nearest } from './nearest.ts';

const Ms = (options: { description: string; default?: number; minimum?: number }) =>
  Type.Integer({ minimum: 0, ...options });

/** A host `ctx.fetch` may reach; `internal` lets it have a private address. */
const Host = Type.Union([
  Type.String({ minLength: 1, maxLength: 253 }),
  Type.Object(
    { host: Type.String({ minLength: 1, maxLength: 253 }), internal: Type.Boolean({ default: false }) },
    { additionalProperties: false },
  ),
]);

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
    sequential: Type.Boolean({ default: false, description: 'a turn that holds this tool runs its calls one by one' }),
    isolate: Type.Boolean({ default: false, description: 'run the handler in a child process that can be killed' }),
  },
  { additionalProperties: false },
);
export type Policy = Type.Static<typeof Policy>;

/** What an author writes: everything is optional. */
export type PolicyInput = Partial<Omit<Policy, 'retry' | 'hosts'>> & {
  retry?: Partial<Policy['retry']>;
  hosts?: (string | { host: string; internal?: boolean })[];
};

const policies = Compile(Policy);

/** Fills in the defaults and says everything that is wrong. `at-most-once` has one attempt, whatever is written. */
export function readPolicy(input: PolicyInput): { policy: Policy; problems: string[] } {
  const policy = Value.Default(Policy, structuredClone(input)) as Policy;
  if (!policies.Check(policy)) return { policy, problems: policyProblems(policy) };
  if (policy.effects === 'at-most-once') policy.retry.attempts = 1;
  return { policy, problems: [] };
}

function policyProblems(policy: Policy): string[] {
  return policies
    .Errors(policy)
    .filter(({ keyword }) => keyword !== 'boolean')
    .map(({ keyword, params, instancePath, message }) => {
      if (keyword !== 'additionalProperties') return `policy${instancePath}: ${message}`;
      const [extra = ''] = params.additionalProperties;
      const known =
        instancePath === '' ? Object.keys(Policy.properties) : Object.keys(Policy.properties.retry.properties);
      const close = nearest(extra, known);
      return `policy${instancePath}: unknown ${extra}${close === undefined ? '' : `; did you mean ${close}?`}`;
    });
}
