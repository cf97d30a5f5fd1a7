import Type from 'typebox';

/** A meter in microseconds tells starts apart that are 1 µs from each other, not closer. */
const maxPerMs = 1_000;
const maxCount = 1_000_000_000;
const maxCost = 1_000_000;
const maxPeriodMs = 31 * 24 * 3_600_000;

const Count = (description: string) => Type.Integer({ minimum: 1, maximum: maxCount, description });
const Period = (description: string) => Type.Integer({ minimum: 1, maximum: maxPeriodMs, description });
const strict = { additionalProperties: false };

/** What a bucket is for each of; a user is always a user of its owner. */
const Scope = Type.Union([Type.Literal('user'), Type.Literal('owner'), Type.Literal('tool')]);

const Rate = Type.Object(
  {
    limit: Count('starts'),
    periodMs: Period('in this time'),
    burst: Type.Optional(Count('that may start at once after a pause; default: limit')),
  },
  strict,
);
const Quota = Type.Object({ limit: Count('starts'), windowMs: Period('in each window of this length') }, strict);
const CostFromData = Type.Object(
  {
    pointer: Type.String({
      pattern: '^(/([^~/]|~[01])*)*$',
      description: 'JSON Pointer into the arguments (RFC 6901)',
    }),
    per: Type.Literal('item', { description: 'an array counts its items, a number itself, anything else 1' }),
  },
  strict,
);

/** One bucket for each combination of `per`, for everybody where it is empty, with one or more ways to be full. */
export const limitProperties = {
  per: Type.Array(Scope, { uniqueItems: true }),
  rate: Type.Optional(Rate),
  concurrency: Type.Optional(Count('calls at once')),
  quota: Type.Optional(Quota),
  cost: Type.Optional(
    Type.Union([Type.Integer({ minimum: 1, maximum: maxCost }), CostFromData], {
      description: 'what a call takes of a rate and of a quota; default 1',
    }),
  ),
  onLimit: Type.Optional(
    Type.Union([Type.Literal('wait'), Type.Literal('refuse')], {
      description: 'what a call does that may not start now; default wait. Quotas always refuse',
    }),
  ),
};

export const Limit = Type.Object(limitProperties, strict);
export type Limit = Type.Static<typeof Limit>;

/** What a schema cannot say of a limit. */
export function limitProblems({ rate, concurrency, quota, cost }: Limit): string[] {
  const problems: string[] = [];
  if (!rate && concurrency === undefined && !quota) problems.push('it limits nothing; give rate, concurrency or quota');
  if (rate && rate.limit / rate.periodMs > maxPerMs) {
    problems.push(`rate: more than ${maxPerMs} per millisecond cannot be metered; leave the limit out`);
  }
  if (typeof cost !== 'number') return problems;
  const burst = rate && (rate.burst ?? rate.limit);
  if (burst !== undefined && cost > burst) problems.push(`cost: ${cost} never fits into a burst of ${burst}`);
  if (quota && cost > quota.limit) problems.push(`cost: ${cost} never fits into a quota of ${quota.limit}`);
  return problems;
}
