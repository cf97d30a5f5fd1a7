import type { Clock } from './clock.ts';
import type { Names } from './names.ts';
import type { Principal } from './principal.ts';
import type { Redis } from './redis.ts';

type User = Pick<Principal, 'owner' | 'userId'>;

/** What users have spent of their tokens of this day, which begins at 00:00 UTC on the clock of Redis. */
export interface TokenBudget {
  used(user: User): Promise<number>;
  /** Resolves with what is used after it. */
  spend(user: User, tokens: number): Promise<number>;
}

/** A count is of no use once its day is over; the second day is for clocks that are still on the way there. */
export const tokensSpentTtlMs = 2 * 24 * 3_600_000;

/** Where a user's tokens are counted on the day of `now`, in Redis time: for scripts that spend together with more. */
export const tokensSpentKey = (names: Names, { owner, userId }: User, now: number): string =>
  names.tokensSpent(owner, userId, new Date(now).toISOString().slice(0, 10));

export function createTokenBudget(redis: Redis, names: Names, clock: Pick<Clock, 'now'>): TokenBudget {
  const keyOf = (user: User) => tokensSpentKey(names, user, clock.now());
  return {
    used: async (user) => Number((await redis.get(keyOf(user))) ?? 0),
    async spend(user, tokens) {
      const key = keyOf(user);
      const results = await redis.multi().incrby(key, tokens).pexpire(key, tokensSpentTtlMs).exec();
      const [error, used] = results?.[0] ?? [new Error('no answer')];
      if (error) throw error;
      return Number(used);
    },
  };
}
