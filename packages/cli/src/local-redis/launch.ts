import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { KeeperOrder, KeeperReport } from './keeper.ts';
import type { RedisServer } from './server.ts';

/** A Redis to work with. */
export interface LocalRedis {
  url: string;
  /** e.g. `redis-server 7.0.15 (/usr/bin/redis-server) on port 40123` */
  description: string;
  /** of the server; absent where it was not started here */
  pid?: number;
  /** Ends the server, if it was started here, and resolves when it is gone; may be called again. */
  stop: () => Promise<void>;
}

export interface LaunchOptions {
  /** default: a free one */
  port?: number;
  /** kept after the end; default: a temporary one, removed at the end */
  dataDir?: string;
  /** log every write, flushed once a second, so that a restart on the same `dataDir` finds it; default false */
  appendOnly?: boolean;
}

const readyWithinMs = 30_000;
const portTries = 3;

/** The server ended before it took connections. */
class ServerEnded extends Error {
  override name = 'ServerEnded';
}

/** Starts the server on the loopback interface; it ends with this process, whatever ends this process. */
export async function launch(server: RedisServer, options: LaunchOptions): Promise<LocalRedis> {
  if (options.port !== undefined) return launchOn(options.port, server, options);
  for (let tries = 1; ; tries++) {
    try {
      return await launchOn(await freePort(), server, options);
    } catch (error) {
      // Another process may have taken the port between our look and the server's.
      if (!(error instanceof ServerEnded) || tries === portTries) throw error;
    }
  }
}

async function launchOn(port: number, server: RedisServer, options: LaunchOptions): Promise<LocalRedis> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'callyard-redis-')));
  await mkdir(dataDir, { recursive: true });
  const args = server.args({ port, dataDir, appendOnly: options.appendOnly ?? false });
  const keeper = forkKeeper({ command: server.command, args, ...(!options.dataDir && { temporaryDir: dataDir }) });
  const description = `${server.name} on port ${port}`;
  const report = await firstReport(keeper, description);
  if ('ended' in report) throw new ServerEnded(`${description} did not start:\n${report.ended.trim()}`);
  keeper.unref();
  keeper.channel?.unref();
  return { url: `redis://127.0.0.1:${port}`, description, pid: report.pid, stop: () => stop(keeper) };
}

function forkKeeper(order: KeeperOrder): ChildProcess {
  return fork(fileURLToPath(new URL('./keeper.ts', import.meta.url)), [JSON.stringify(order)], {
    // Its own process group: Ctrl-C is for this process alone, which still needs its Redis to end in good order.
    detached: true,
    execArgv: [],
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
}

async function firstReport(keeper: ChildProcess, description: string): Promise<KeeperReport> {
  const signal = AbortSignal.timeout(readyWithinMs);
  try {
    const gone = once(keeper, 'exit', { signal }).then(() => [{ ended: 'its keeper process ended' }]);
    const [report] = await Promise.race([once(keeper, 'message', { signal }), gone]);
    return report as KeeperReport;
  } catch (error) {
    await stop(keeper);
    throw new Error(`${description} took no connections within ${readyWithinMs / 1_000} s`, { cause: error });
  }
}

async function stop(keeper: ChildProcess): Promise<void> {
  const gone = keeper.exitCode !== null || keeper.signalCode !== null;
  keeper.ref();
  if (keeper.connected) keeper.disconnect();
  if (!gone) await once(keeper, 'exit');
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}
