import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import { environmentWith } from '@callyard/shared/config';

const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

/** For workers beside a command: it is to find them though these tests may stand still for a moment. */
export const listedForLong = { heartbeatMs: 5_000 };

export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs `callyard` as a person would. */
export function callyard(args: readonly string[], settings: Record<string, string> = {}): Promise<Ran> {
  const env = environmentWith({ REDIS_URL: inject('redisUrl'), NO_COLOR: '1', ...settings });
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], { env }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    );
  });
}
