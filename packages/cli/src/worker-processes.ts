import { fork, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A worker running as a process of its own. */
export interface WorkerProcess {
  /** as the catalog and outcomes name it */
  id: string;
  pid: number;
  process: ChildProcess;
}

export interface SpawnOptions {
  /** the module to run; it must log `worker.started` and stop when its parent goes */
  script: URL;
  args: readonly string[];
  env: Record<string, string | undefined>;
}

/** Starts worker processes and resolves when all of them serve. Rejects with what the first failing one said. */
export async function startWorkers(count: number, options: SpawnOptions): Promise<WorkerProcess[]> {
  const started = await Promise.allSettled(Array.from({ length: count }, () => startWorker(options)));
  const failure = started.find((one) => one.status === 'rejected');
  const workers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  if (!failure) return workers;
  await stopWorkers(workers);
  throw failure.reason;
}

async function startWorker({ script, args, env }: SpawnOptions): Promise<WorkerProcess> {
  const child = fork(script, args, { env, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
  const said: string[] = [];
  child.stderr?.on('data', (data: Buffer) => said.push(data.toString()));
  return new Promise((resolve, reject) => {
    child.once('exit', (code, signal) =>
      reject(new Error(`a worker process ended (${signal ?? `exit ${code}`}) before it served:\n${said.join('').trim()}`)),
    );
    const lines = createInterface({ input: child.stdout ?? process.stdin });
    lines.on('line', (line) => {
      said.push(`${line}\n`);
      if (said.length > 50) said.shift();
      const id = startedWorker(line);
      if (id !== undefined) resolve({ id, pid: child.pid ?? 0, process: child });
    });
  });
}

function startedWorker(line: string): string | undefined {
  if (!line.includes('"worker.started"')) return undefined;
  return (JSON.parse(line) as { worker?: string }).worker;
}

/** Asks them to stop and waits until they have. */
export async function stopWorkers(workers: readonly WorkerProcess[]): Promise<void> {
  await Promise.all(
    workers.map(async ({ process: child }) => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await exited;
    }),
  );
}
