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

/** Starts processes and resolves when all of them serve. Rejects with what the first failing one said. */
export async function startProcesses(count: number, options: SpawnOptions): Promise<ServingProcess[]> {
  const started = await Promise.allSettled(Array.from({ length: count }, () => startProcess(options)));
  const failure = started.find((one) => one.status === 'rejected');
  const serving = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (!failure) return serving;
  await stopProcesses(serving);
  throw failure.reason;
}

function startProcess({ script, args, env }: SpawnOptions): Promise<ServingProcess> {
  const child = fork(script, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const said = lastLines(child);
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) =>
      reject(new Error(`the process ended (${signal ?? `exit ${code}`}) before it served:\n${said().join('\n')}`)),
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
