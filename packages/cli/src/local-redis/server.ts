import { execFile } from 'node:child_process';
import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A server that can be started. */
export interface RedisServer {
  /** e.g. `redis-server 7.0.15 (/usr/bin/redis-server)` */
  name: string;
  command: string;
  args: (settings: ServerSettings) => string[];
}

interface ServerSettings {
  port: number;
  dataDir: string;
  appendOnly: boolean;
}

/** The first program called one of `names`; throws where there is none. */
export async function findProgram(names: string[], directories: string[]): Promise<string> {
  for (const path of directories.flatMap((directory) => names.map((name) => join(directory, name)))) {
    if (await isExecutable(path)) return path;
  }
  throw new Error(`no ${names.join(' or ')} in ${directories.join(', ') || 'an empty PATH'}`);
}

/**
 * A Redis or Valkey binary, asked for its version first; throws where it does not run or is older than 7.
 * @param command the words before the server's own arguments
 */
export async function realServer(command: string, before: string[], origin: string): Promise<RedisServer> {
  const { stdout } = await run(command, [...before, '--version'], { timeout: 10_000 });
  const [, product = 'redis', version = '0'] = /^(\w+).* v=([\d.]+)/.exec(stdout) ?? [];
  const name = `${product.toLowerCase()}-server ${version} (${origin})`;
  if (Number.parseInt(version) < 7) throw new Error(`${name} is too old: 7 at least is needed`);
  return { name, command, args: (settings) => [...before, ...redisArguments(settings)] };
}

function redisArguments({ port, dataDir, appendOnly }: ServerSettings): string[] {
  const settings = {
    port: String(port),
    bind: '127.0.0.1',
    dir: dataDir,
    save: '',
    appendonly: appendOnly ? 'yes' : 'no',
    'maxmemory-policy': 'noeviction',
    // Blocking reads time out on this tick, so delayed jobs are late by up to 1/hz: 100 ms at Redis's own 10.
    hz: '100',
  };
  return Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]);
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
