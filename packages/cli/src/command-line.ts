import { NoRedisError } from './local-redis/index.ts';
import { ConfigError } from '@callyard/shared/config';
import { RedisError } from '@callyard/shared/redis';
import { NotServingError } from './processes.ts';
import { createProgram } from './program.ts';
import { UsageError } from './usage-error.ts';

/** Errors whose message is all there is to say. */
const expected = [UsageError, ConfigError, RedisError, NoRedisError, NotServingError];

/** The whole of `callyard`: what is wrong with how it was called is said in one line. */
export async function runProgram(): Promise<void> {
  try {
    await createProgram().parseAsync();
  } catch (error) {
    if (!expected.some((kind) => error instanceof kind)) throw error;
    console.error(`callyard: ${(error as Error).message}`);
    process.exitCode = 2;
  }
}
