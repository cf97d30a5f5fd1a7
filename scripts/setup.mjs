/**
 * Brings a fresh clone to where everything runs: the packages of package-lock.json, and with them the project's own
 * Node. Itself it needs Node 18 or newer and npm, and no package. Several processes may run it at once.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import {
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const onWindows = process.platform === 'win32';
const ownNode = join(root, 'node_modules/node/bin', onWindows ? 'node.exe' : 'node');

/** @returns {Promise<string>} the path of the project's own Node; says what is wrong and ends the process otherwise */
export async function setup() {
  try {
    if (!isInstalled()) await locked(async (hold) => isInstalled() || install(hold));
    return checkedNode();
  } catch (error) {
    console.error(`Setting up failed: ${error.message}`);
    return process.exit(1);
  }
}

/** npm keeps its own record of what it installed and writes it last, so an install that broke off has none that matches. */
function isInstalled() {
  const wanted = packagesOf('package-lock.json');
  const installed = packagesOf('node_modules/.package-lock.json');
  return Object.entries(wanted).every(
    ([path, { version, integrity, optional }]) =>
      // Optional ones are there or not, as the platform will have it.
      path === '' || optional || (installed[path]?.version === version && installed[path]?.integrity === integrity),
  );
}

function packagesOf(lockfile) {
  try {
    return JSON.parse(readFileSync(join(root, lockfile), 'utf8')).packages;
  } catch (error) {
    if (error.code === 'ENOENT') return {};
    throw error;
  }
}

/** Exactly what package-lock.json says. */
async function install(hold) {
  console.error('Setting up: npm ci (only now, and when package-lock.json changes)');
  // Warnings are left out: npm warns of packages too new for the Node that runs npm, which is not the one they run on.
  const npm = spawn('npm', ['ci', '--include=dev', '--no-audit', '--loglevel=error'], {
    cwd: root,
    env: { ...process.env, PATH: pathWithoutOwnNode() },
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: onWindows,
  });
  if (npm.pid) hold(npm.pid);
  const [status, signal] = await once(npm, 'exit').catch((error) => {
    throw new Error(`npm could not be run (${error.message}). Install Node with npm: https://nodejs.org`);
  });
  if (status === 0) return;
  throw new Error(`npm ci in ${root} ended with ${status ?? signal}; its reason is above. It needs the npm registry.`);
}

/** npm may replace the Node that `npm run` puts first on the PATH, so it must not be run by that one. */
function pathWithoutOwnNode() {
  const own = join(root, 'node_modules');
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(own))
    .join(delimiter);
}

function checkedNode() {
  const { error, status } = spawnSync(ownNode, ['--version']);
  if (status === 0) return realpathSync(ownNode);
  throw new Error(
    `the project's own Node (${ownNode}) does not run: ${error?.message ?? `exit code ${status}`}.\n` +
      'The install script of the npm package "node" puts it there; npm leaves it out where ignore-scripts is set.\n' +
      'Try: npm rebuild node --ignore-scripts=false',
  );
}

/**
 * One process at a time: the lock is a folder that holds the pid of its owner as a file. A folder cannot be renamed
 * onto one that is not empty, and a dead owner's file can be renamed but once, so neither can have two winners.
 * The work may have another process `hold` the lock: an npm whose starter was killed goes on installing.
 */
async function locked(work) {
  const lock = join(tmpdir(), `callyard-setup-${createHash('sha256').update(root).digest('hex').slice(0, 12)}`);
  const offer = mkdtempSync(`${lock}-`);
  let owner = String(process.pid);
  writeFileSync(join(offer, owner), '');
  for (let tries = 0; !took(lock, offer, owner); tries++) {
    if (tries === 0) console.error(`Setting up: waiting for another process that is at it (${lock})`);
    await wait(100);
  }
  const hold = (pid) => {
    renameSync(join(lock, owner), join(lock, String(pid)));
    owner = String(pid);
  };
  try {
    await work(hold);
  } finally {
    rmSync(join(lock, owner), { force: true });
    succeeds(() => rmdirSync(lock));
    rmSync(offer, { recursive: true, force: true });
  }
}

function took(lock, offer, mine) {
  if (succeeds(() => renameSync(offer, lock))) return true;
  let owner;
  if (!succeeds(() => ([owner] = readdirSync(lock))) || owner === undefined || isAlive(Number(owner))) return false;
  return succeeds(() => renameSync(join(lock, owner), join(lock, mine)));
}

/** Whether a change to the lock was ours to make; false where another process was first. */
function succeeds(change) {
  try {
    change();
    return true;
  } catch (error) {
    if (['ENOTEMPTY', 'EEXIST', 'ENOENT', 'EPERM'].includes(error.code)) return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code !== 'ESRCH';
  }
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  console.log(`Set up, with Node at ${await setup()}`);
}
