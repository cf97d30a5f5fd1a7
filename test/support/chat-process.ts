import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import type { Callyard } from './setup.ts';

const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));

export interface ChatProcess {
  /** what it printed by now */
  shown(): string;
  /** Resolves when this was printed, after what was waited for before. */
  until(text: string | RegExp): Promise<void>;
  type(text: string): void;
  /** the end of its input */
  end(): void;
  kill(signal: NodeJS.Signals): void;
  /** with all that it has printed */
  readonly ended: Promise<number | null>;
}

interface ChatOptions {
  args?: readonly string[];
  settings?: Record<string, string>;
  /** on a terminal of its own */
  pty?: boolean;
}

/** `callyard chat` as a person, or a pipe, would drive it. */
export function chatProcess(yard: Callyard, { args = [], settings = {}, pty = false }: ChatOptions = {}): ChatProcess {
  const own = { REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix, OPENAI_API_KEY: '', NO_COLOR: '1' };
  const command = [process.execPath, main, 'chat', ...args];
  const [file = '', ...parts] = pty ? ['script', '-qefc', command.join(' '), '/dev/null'] : command;
  const child = spawn(file, parts, { env: environmentWith({ ...own, ...settings }), stdio: ['pipe', 'pipe', 'pipe'] });
  let printed = '';
  let seen = 0;
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (printed += String(chunk)));
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    shown: () => printed,
    async until(text) {
      const find = () => {
        const rest = printed.slice(seen);
        const found = typeof text === 'string' ? rest.indexOf(text) : rest.search(text);
        if (found >= 0) seen += found + 1;
        return found >= 0 ? 'shown' : `not in: ${rest}`;
      };
      await expect.poll(find, { timeout: 15_000, interval: 20 }).toBe('shown');
    },
    type: (text) => void child.stdin.write(text),
    end: () => void child.stdin.end(),
    kill: (signal) => void child.kill(signal),
    ended: new Promise((resolve) => child.once('close', resolve)),
  };
}
