import { NoRedisError } from './local-redis/index.ts';
import { LimitRulesError } from '@callyard/shared/admission/limit-rules';
import { ConfigError } from '@callyard/shared/config';
import { RedisError } from '@callyard/shared/redis';
import { createProgram } from './program.ts';
import { UsageError } from './usage-error.ts';

/** Errors whose message is all there is to say. */
const expected = [UsageError, ConfigError, LimitRulesError, RedisError, NoRedisError];

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
