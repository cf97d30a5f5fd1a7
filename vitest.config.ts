import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineConfig } from 'vitest/config';
import { ClosingLineReporter } from './test/support/closing-line-reporter.ts';

/** A tracer that is registered stays for as long as the process lives. */
export const traced = [
  'test/shared/{log,telemetry*}.test.ts',
  'test/dispatcher/hold-span.test.ts',
  'test/flow/{trace*,dead-letters,logs}.test.ts',
  'test/redis/marked-add.test.ts',
];

export default defineConfig({
  test: {
    // Files share a process, which loads the libraries once: 251 s instead of 322, two at once.
    projects: [
      { extends: true, test: { name: 'shared', include: ['test/**/*.test.ts'], exclude: traced, isolate: false } },
      { extends: true, test: { name: 'alone', include: traced } },
    ],
    globalSetup: ['test/support/global-setup.ts'],
    reporters: ['default', new ClosingLineReporter()],
    pool: 'forks',
    // The processes that tests start compile what they load once: a command is up in 0.9 s instead of 1.5.
    // They show no metrics unless a test asks for it: they would all want the same port.
    env: { NODE_COMPILE_CACHE: join(tmpdir(), 'callyard-compiled'), CALLYARD_METRICS_PORT: '0' },
    // Many tests wait for locks to run out: on two cores three files at once take 225 s, two 251.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    // What a poll waits for comes when it comes: a machine that is busy is no failure.
    expect: { poll: { timeout: 5_000 } },
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
});
