import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import type { Environment } from './environment.ts';
import { findProgram, realServer, type RedisServer } from './server.ts';

const run = promisify(execFile);
const aptTimeoutMs = 90_000;

/**
 * The distribution's own redis-server (Debian, Ubuntu), fetched and verified by apt-get, unpacked without root and
 * kept in the cache. Every process that fetches adds a folder of its own by one rename and changes no other, so
 * several may do it at once.
 */
export async function debianServer(environment: Environment, log: (line: string) => void): Promise<RedisServer> {
  const cache = join(environment.cacheDir, `redis-${process.arch}`);
  const kept = await foldersOf(cache);
  const cached = await firstThatRuns(kept);
  if (cached) return cached;
  const aptGet = await findProgram(['apt-get'], environment.directories);
  log(`Redis: fetching the distribution's own redis-server, once, into ${cache}`);
  const fetched = await fetchInto(cache, aptGet, environment);
  await Promise.all(kept.map((broken) => rm(broken, { recursive: true, force: true })));
  return fetched;
}

async function fetchInto(cache: string, aptGet: string, environment: Environment): Promise<RedisServer> {
  await mkdir(cache, { recursive: true });
  const staging = await mkdtemp(`${cache}-`);
  try {
    await unpackPackages(aptGet, environment, staging);
    // apt-get update succeeds without a network too: only what runs may enter the cache.
    await openServer(staging);
    const quicker = await firstThatRuns(await foldersOf(cache));
    if (quicker) return quicker;
    const home = join(cache, basename(staging));
    await rename(staging, home);
    return await openServer(home);
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function foldersOf(cache: string): Promise<string[]> {
  const names = await readdir(cache).catch(() => []);
  return names.map((name) => join(cache, name));
}

async function firstThatRuns(homes: string[]): Promise<RedisServer | undefined> {
  for (const home of homes) {
    const server = await openServer(home).catch(() => undefined);
    if (server) return server;
  }
  return undefined;
}

async function openServer(home: string): Promise<RedisServer> {
  // Those that the machine has already, of a Redis that was removed say, are not fetched.
  const own = (await foldersOf(join(home, 'usr/lib'))).filter((path) => basename(path).includes('linux-gnu'));
  const libraries = own.length > 0 ? [`LD_LIBRARY_PATH=${own.join(':')}`] : [];
  return realServer(
    'env',
    [...libraries, join(home, 'usr/bin/redis-server')],
    "the distribution's packages, in the cache",
  );
}

async function unpackPackages(aptGet: string, { directories }: Environment, target: string): Promise<void> {
  const dpkgDeb = await findProgram(['dpkg-deb'], directories);
  const work = await mkdtemp(join(tmpdir(), 'callyard-apt-'));
  const apt = async (...args: string[]) =>
    run('env', [`PATH=${directories.join(':')}`, 'LC_ALL=C', aptGet, ...aptOptions(work), ...args], {
      timeout: aptTimeoutMs,
    });
  try {
    await mkdir(join(work, 'lists/partial'), { recursive: true });
    await mkdir(join(work, 'archives/partial'), { recursive: true });
    const { stderr } = await apt('update');
    await apt(...download).catch((error: { stderr?: string; message: string }) => {
      throw new Error(`apt-get could not fetch redis-server: ${firstLines(stderr + (error.stderr || error.message))}`);
    });
    for (const name of await readdir(join(work, 'archives'))) {
      if (name.endsWith('.deb')) await run(dpkgDeb, ['-x', join(work, 'archives', name), target]);
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

// redis-server is but a link to a program of redis-tools, which would not be fetched where it is installed already.
const download = 'install --download-only --reinstall --no-install-recommends --yes redis-server redis-tools'.split(
  ' ',
);

/** apt-get's state and cache in a folder of ours, the installed packages and the sources those of the machine. */
function aptOptions(work: string): string[] {
  const settings = [
    `Dir::State=${work}`,
    'Dir::State::status=/var/lib/dpkg/status',
    `Dir::Cache=${work}`,
    `Dir::Cache::archives=${join(work, 'archives')}`,
    'Debug::NoLocking=1',
    'APT::Sandbox::User=',
    'Acquire::Languages=none',
    'Acquire::Retries=1',
    'Acquire::http::Timeout=15',
  ];
  return ['-qq', ...settings.flatMap((setting) => ['-o', setting])];
}

function firstLines(text: string): string {
  return text.trim().split('\n').slice(0, 3).join('; ');
}
