import type { Redis } from 'ioredis';

/* What the processes of the soak write beside their work, for the one that looks after them. */

export const effectsKey = (prefix: string): string => `{${prefix}:0}:soak:effects`;
export const faultsKey = (prefix: string): string => `{${prefix}:0}:soak:faults`;

/** Side effects of each call, by its idempotency key: HASH. */
export async function countEffect(redis: Redis, prefix: string, key: string): Promise<void> {
  await redis.hincrby(effectsKey(prefix), key, 1);
}

/** What must not be, counted by what it is: HASH. */
export async function countFault(redis: Redis, prefix: string, fault: string): Promise<void> {
  await redis.hincrby(faultsKey(prefix), fault, 1);
}
