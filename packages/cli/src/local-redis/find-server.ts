import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { debianServer } from './debian-packages.ts';
import type { Environment } from './environment.ts';
import { findProgram, realServer, type RedisServer } from './server.ts';

export interface FindOptions {
  environment: Environment;
  /** whether the pure-JavaScript server may stand in for a real one */
  allowJavaScript: boolean;
  log: (line: string) => void;
}

/** There is no Redis; the message says what was tried and what to do. */
export class NoRedisError extends Error {
  override name = 'NoRedisError';
}

/** @throws NoRedisError */
export async function findServer({ environment, allowJavaScript, log }: FindOptions): Promise<RedisServer> {
  const sources = [() => installedServer(environment), () => debianServer(environment, log)];
  if (allowJavaScript) sources.push(async () => javaScriptServer());
  const reasons: string[] = [];
  for (const source of sources) {
    try {
      return await source();
    } catch (error) {
      reasons.push((error as Error).message.trim());
    }
  }
  throw new NoRedisError(
    `No Redis is at hand:\n${reasons.map((reason) => `  - ${reason}\n`).join('')}` +
      'Name one with REDIS_URL=redis://host:port, or install one: apt-get install redis-server, or brew install redis.',
  );
}

export function javaScriptServer(): RedisServer {
  createRequire(import.meta.url).resolve('js-redis-server');
  const path = fileURLToPath(new URL('./javascript-server.ts', import.meta.url));
  return {
    name: 'js-redis-server (pure JavaScript, for trying things out)',
    command: process.execPath,
    args: ({ port }) => [path, String(port)],
  };
}

async function installedServer({ directories }: Environment): Promise<RedisServer> {
  const path = await findProgram(['redis-server', 'valkey-server'], directories);
  return realServer(path, [], path);
}
