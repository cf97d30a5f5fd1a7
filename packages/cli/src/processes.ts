import { fork, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { ServingMessage } from './serve.ts';

/** A worker, or a dispatcher that drives durable runs, as a process of its own. */
export interface ServingProcess {
  /** as the catalog, outcomes and runs name it */
  id: string;
  pid: number;
  process: ChildProcess;
}

export interface SpawnOptions {
  /** the module to run: one that ends in `serve` or `serveRuns` */
  script: URL;
  args: readonly string[];
  env: Record<string, string | undefined>;
}

/** A process that could not start; the message has what it said. */
export class NotServingError extends Error {
  override name = 'NotServingError';
}

/** The same several times, see `startEach`. */
export const startProcesses = (count: number, options: SpawnOptions): Promise<ServingProcess[]> =>
  startEach(Array.from({ length: count }, () => options));

/**
 * Starts processes and resolves when all of them serve. Where one fails, the others are stopped.
 * @throws NotServingError of the first that fails
 */
export async function startEach(all: readonly SpawnOptions[]): Promise<ServingProcess[]> {
  const started = await Promise.allSettled(all.map(startProcess));
  const failure = started.find((one) => one.status === 'rejected');
  const serving = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (!failure) return serving;
  await stopProcesses(serving);
  throw failure.reason;
}

function startProcess({ script, args, env }: SpawnOptions): Promise<ServingProcess> {
  // Its own process group: Ctrl-C is for this process alone, which ends what it does before it stops those that serve it.
  const child = fork(script, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'], detached: true });
  const said = lastLines(child);
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) =>
      reject(
        new NotServingError(`a process ended (${signal ?? `exit ${code}`}) before it served:\n${said().join('\n')}`),
      ),
    );
    child.once('message', ({ id }: ServingMessage) => resolve({ id, pid: child.pid ?? 0, process: child }));
  });
}

/** Reads what a process prints, as it would stop at a full pipe, and keeps the end of it. */
function lastLines({ stdout, stderr }: ChildProcess): () => string[] {
  const lines: string[] = [];
  for (const stream of [stdout, stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on('line', (line) => {
      lines.push(line);
      if (lines.length > 50) lines.shift();
    });
  }
  return () => lines;
}

/** Asks them to stop and waits until they have. */
export async function stopProcesses(processes: readonly ServingProcess[]): Promise<void> {
  await Promise.all(
    processes.map(async ({ process: child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    }),
  );
}
