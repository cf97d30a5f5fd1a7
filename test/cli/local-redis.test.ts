import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { NoRedisError, startLocalRedis, type Environment, type LocalRedisOptions } from '@callyard/cli/local-redis';
import { afterAll, beforeAll, describe, expect, inject, onTestFinished, test } from 'vitest';
import { readEnvironment } from '../../packages/cli/src/local-redis/environment.ts';
import { findServer } from '../../packages/cli/src/local-redis/find-server.ts';
import { findProgram } from '../../packages/cli/src/local-redis/server.ts';
import { isAlive } from '../support/is-alive.ts';

const starter = fileURLToPath(new URL('../support/start-redis.ts', import.meta.url));
const dpkgDeb = await findProgram(['dpkg-deb'], readEnvironment().directories).catch(() => undefined);
let folder: string;
let bin: string;

/** `bin` holds a `redis-server` that is the real one of this machine. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'callyard-test-'));
  bin = join(folder, 'bin');
  await mkdir(bin);
  const real = await findServer({ environment: readEnvironment(), allowJavaScript: false, log: console.log });
  const words = real.args({ port: 1, dataDir: '', appendOnly: false });
  const command = [real.command, ...words.slice(0, words.indexOf('--port'))].join(' ');
  await writeProgram(join(bin, 'redis-server'), `exec ${command} "$@"`);
});
afterAll(() => rm(folder, { recursive: true }));

test('a redis-server on the PATH is taken, named and answers PING', async () => {
  const lines: string[] = [];
  const redis = await start({ environment: { directories: [bin], cacheDir: folder }, log: (line) => lines.push(line) });
  expect(lines).toEqual([`Redis: ${redis.description}`]);
  expect(redis.description).toMatch(new RegExp(`^redis-server \\d+\\..* \\(${bin}/redis-server\\) on port \\d+$`));
  expect(await ask(redis.url, 'PING')).toBe('+PONG\r\n');
});

test('it evicts nothing, writes nothing to disk and ticks a hundred times a second', async () => {
  const { url } = await start();
  expect(await setting(url, 'maxmemory-policy')).toBe('noeviction');
  expect(await setting(url, 'appendonly')).toBe('no');
  expect(await setting(url, 'save')).toBe('');
  expect(await setting(url, 'hz')).toBe('100');
});

test('a given URL is used as it is, and stop leaves that Redis alone', async () => {
  const redis = await start({ url: inject('redisUrl') });
  expect(redis).toMatchObject({ url: inject('redisUrl'), description: expect.stringContaining('as given') });
  expect(redis.pid).toBeUndefined();
  await redis.stop();
  expect(await ask(redis.url, 'PING')).toBe('+PONG\r\n');
});

test('stop ends the server, and may be called again', async () => {
  const redis = await start();
  await Promise.all([redis.stop(), redis.stop()]);
  await redis.stop();
  expect(await takesConnections(redis.url)).toBe(false);
});

test('with a port and a data folder of its own a restarted Redis remembers', async () => {
  const first = await start({ dataDir: join(folder, 'data'), appendOnly: true });
  await ask(first.url, 'SET kept here');
  await first.stop();
  const port = Number(new URL(first.url).port);
  const second = await start({ dataDir: join(folder, 'data'), appendOnly: true, port });
  expect(second.url).toBe(first.url);
  expect(await ask(second.url, 'GET kept')).toBe('$4\r\nhere\r\n');
});

test('a server that cannot have its port says so', async () => {
  const { url } = await start();
  await expect(start({ port: Number(new URL(url).port) })).rejects.toThrow(/Address already in use/);
});

describe.each<{ server: string; options: LocalRedisOptions }>([
  { server: 'the real server', options: {} },
  { server: 'the JavaScript server', options: { force: 'javascript' } },
])('$server', ({ options }) => {
  test('ends with a parent that ends without stopping it', async () => {
    const { parent, redis } = await startInAnotherProcess(options, 'leave');
    await parent.exit;
    await ended(redis.url);
    await expect.poll(() => isAlive(redis.pid), { timeout: 5_000 }).toBe(false);
  });

  test('ends within five seconds of kill -9 to its parent', async () => {
    const { parent, redis } = await startInAnotherProcess(options, 'stay');
    parent.kill();
    const killedAt = performance.now();
    await ended(redis.url);
    expect(performance.now() - killedAt).toBeLessThan(5_000);
    await expect.poll(() => isAlive(redis.pid), { timeout: 5_000 }).toBe(false);
  });
});

test('after kill -9 to its parent the temporary data folder is gone too', async () => {
  const { parent, redis } = await startInAnotherProcess({}, 'stay');
  const dataDir = await setting(redis.url, 'dir');
  expect(existsSync(dataDir)).toBe(true);
  parent.kill();
  await expect.poll(() => existsSync(dataDir), { timeout: 5_000 }).toBe(false);
});

test('the JavaScript server, when forced, comes before everything and answers on the loopback interface only', async () => {
  const redis = await start({ force: 'javascript', url: inject('redisUrl') });
  expect(redis.description).toMatch(/^js-redis-server/);
  expect(await ask(redis.url, 'PING')).toBe('+PONG\r\n');
  for (const address of outerAddresses()) {
    expect(await takesConnections(redis.url.replace('127.0.0.1', address))).toBe(false);
  }
});

describe('with nothing on the PATH and nothing in the cache', () => {
  test('the error says what was tried and what to do', async () => {
    const failure = await start({ environment: nothing() }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(NoRedisError);
    expect((failure as Error).message).toMatch(/no redis-server or valkey-server in an empty PATH/);
    expect((failure as Error).message).toMatch(/no apt-get in an empty PATH/);
    expect((failure as Error).message).toMatch(/REDIS_URL=.*apt-get install redis-server.*brew install redis/);
  });

  test('the JavaScript server stands in where it is allowed', async () => {
    const redis = await start({ environment: nothing(), allowJavaScript: true });
    expect(redis.description).toMatch(/^js-redis-server/);
  });
});

describe.skipIf(!dpkgDeb)("the distribution's packages", () => {
  test('two processes that fetch at once both get a server that runs', async () => {
    const environment = await distribution('at-once', 'redis');
    const both = await Promise.all([1, 2].map(async () => startInAnotherProcess({ environment }, 'stay')));
    for (const { redis } of both) expect(await ask(redis.url, 'PING')).toBe('+PONG\r\n');
    expect(new Set(both.map(({ redis }) => redis.url)).size).toBe(2);
  });

  test('a cached copy is used without fetching', async () => {
    const environment = await distribution('kept', 'redis');
    await start({ environment });
    const lines: string[] = [];
    await start({ environment: { ...environment, directories: [] }, log: (line) => lines.push(line) });
    expect(lines).toEqual([
      expect.stringMatching(/^Redis: redis-server .* \(the distribution's packages, in the cache\)/),
    ]);
  });

  test('a cached copy that no longer runs is replaced', async () => {
    const environment = await distribution('broken', 'redis');
    await (await start({ environment })).stop();
    const [before] = await copies(environment);
    await writeFile(join(before ?? '', 'usr/bin/redis-server'), '');
    expect(await ask((await start({ environment })).url, 'PING')).toBe('+PONG\r\n');
    const after = await copies(environment);
    expect(after).toHaveLength(1);
    expect(after).not.toContain(before);
  });

  test('run without libraries of their own where the machine has them', async () => {
    const environment = await distribution('without-libraries', 'redis alone');
    expect(await ask((await start({ environment })).url, 'PING')).toBe('+PONG\r\n');
  });

  test('an apt-get that ends well and fetches nothing leaves nothing in the cache', async () => {
    const environment = await distribution('empty', 'nothing');
    await expect(start({ environment })).rejects.toThrow(NoRedisError);
    expect(await copies(environment)).toEqual([]);
  });
});

function nothing(): Environment {
  return { directories: [], cacheDir: join(folder, 'no-cache') };
}

async function start(options: LocalRedisOptions = {}) {
  const redis = await startLocalRedis(options);
  onTestFinished(() => redis.stop());
  return redis;
}

async function startInAnotherProcess(options: LocalRedisOptions, then: 'leave' | 'stay') {
  const child = spawn(process.execPath, [starter, JSON.stringify(options), then], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(child, 'exit');
  const [line] = await once(createInterface(child.stdout), 'line');
  const parent = { exit, kill: () => child.kill('SIGKILL') };
  onTestFinished(() => void parent.kill());
  return { parent, redis: JSON.parse(line) as { url: string; pid: number } };
}

/** The first piece of the answer to one inline command. */
async function ask(url: string, command: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1');
  socket.write(`${command}\r\n`);
  const [answer] = await once(socket, 'data');
  socket.destroy();
  return String(answer);
}

async function setting(url: string, name: string): Promise<string> {
  const [, , , , value = ''] = (await ask(url, `CONFIG GET ${name}`)).split('\r\n');
  return value;
}

async function takesConnections(url: string): Promise<boolean> {
  const { port, hostname } = new URL(url);
  const socket = connect(Number(port), hostname);
  const connected = await once(socket, 'connect').then(
    () => true,
    () => false,
  );
  socket.destroy();
  return connected;
}

/** Resolves when the server behind the URL has hung up. */
async function ended(url: string): Promise<void> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {});
  await new Promise((resolve) => socket.resume().once('close', resolve));
}

function outerAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.filter(({ family, internal }) => family === 'IPv4' && !internal).map(({ address }) => address);
}

/** A machine whose apt-get needs no network: it fetches a server that is the one in `bin`, with a library, alone, or nothing. */
async function distribution(name: string, fetches: 'redis' | 'redis alone' | 'nothing'): Promise<Environment> {
  const directory = join(folder, name);
  const root = join(directory, 'root');
  await mkdir(join(root, 'DEBIAN'), { recursive: true });
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  if (fetches === 'redis') await mkdir(join(root, 'usr/lib/any-linux-gnu'), { recursive: true });
  const control = {
    Package: 'redis-server',
    Version: '1',
    Architecture: 'all',
    Maintainer: 'none',
    Description: 'none',
  };
  await writeFile(
    join(root, 'DEBIAN/control'),
    Object.entries(control)
      .map(([key, value]) => `${key}: ${value}\n`)
      .join(''),
  );
  await writeProgram(join(root, 'usr/bin/redis-server'), `exec ${bin}/redis-server "$@"`);
  await promisify(execFile)(dpkgDeb ?? '', ['--build', root, join(directory, 'redis.deb')]);
  await symlink(dpkgDeb ?? '', join(directory, 'dpkg-deb'));
  const copy = `for word; do case $word in Dir::Cache::archives=*) /bin/cp ${directory}/redis.deb "\${word#*=}";; esac; done`;
  await writeProgram(join(directory, 'apt-get'), fetches === 'nothing' ? 'exit 0' : copy);
  return { directories: [directory], cacheDir: join(directory, 'cache') };
}

async function copies({ cacheDir }: Environment): Promise<string[]> {
  const cache = join(cacheDir, `redis-${process.arch}`);
  return (await readdir(cache)).map((name) => join(cache, name));
}

async function writeProgram(path: string, script: string): Promise<void> {
  await writeFile(path, `#!/bin/sh\n${script}\n`);
  await chmod(path, 0o755);
}
