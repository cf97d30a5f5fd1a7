import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from './test/support/closing-line-reporter.ts';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', new ClosingLineReporter()],
    pool: 'forks',
    // Many tests wait for locks to run out: two files at once take 95 s on two cores, one at a time 150.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    // What a poll waits for comes when it comes: a machine that is busy is no failure.
    expect: { poll: { timeout: 5_000 } },
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
});
