import Type from 'typebox';

const count = (description: string) => Type.Integer({ minimum: 1, description });
const common = {
  bucket: Type.String({ maxLength: 64, description: 'what it counts in: the kind, and a hash of who and how much' }),
  per: Type.Array(Type.String({ maxLength: 16 })),
  cost: Type.Integer({ minimum: 1, description: 'what this call takes of it' }),
  refuse: Type.Optional(Type.Literal(true, { description: 'refuses instead of waiting' })),
};
const Rate = Type.Object({ limit: count('starts'), periodMs: count('in this time'), burst: count('at once') });
const Quota = Type.Object({ limit: count('starts'), windowMs: count('in each window of this length') });

/** A limit that applies to a call, as its envelope carries it. */
export const ResolvedLimit = Type.Union([
  Type.Object({ ...common, rate: Rate }),
  Type.Object({ ...common, concurrency: count('calls at once') }),
  Type.Object({ ...common, quota: Quota }),
]);
export type ResolvedLimit = Type.Static<typeof ResolvedLimit>;
