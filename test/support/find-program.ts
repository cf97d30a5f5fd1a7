import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { readEnvironment } from '../../packages/cli/src/local-redis/environment.ts';

/** Where a program of this machine lies; undefined where it has none. For `skipIf`. */
export const findProgram = (name: string): string | undefined =>
  readEnvironment()
    .directories.map((directory) => join(directory, name))
    .find(existsSync);
