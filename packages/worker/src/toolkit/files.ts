import { constants } from 'node:fs';
import { open, readdir, realpath, type FileHandle } from 'node:fs/promises';
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { ToolError } from '@callyard/shared/failure';

export interface FilesOptions {
  /** larger files are refused; default 1 MiB */
  maxBytes?: number;
}

export interface ConfinedFiles {
  /** The text of a file, UTF-8. */
  read(path: string): Promise<string>;
  /** The names in a folder, in order; folders end in `/`. */
  list(path?: string): Promise<string[]>;
}

/**
 * Files under a root and nowhere else: paths are resolved with their symbolic links before they are judged, and what is
 * read is the file that was judged. Errors name the path as it was asked for, never where the root lies.
 * @throws ToolError
 */
export function filesUnder(root: string, { maxBytes = 2 ** 20 }: FilesOptions = {}): ConfinedFiles {
  return {
    read: (path) => withOpen(root, path, (file) => textOf(file, path, maxBytes)),
    list: (path = '.') =>
      withOpen(root, path, async (_folder, at) => {
        const entries = await readdir(at, { withFileTypes: true }).catch(() => Promise.reject(missing(path)));
        return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).toSorted();
      }),
  };
}

async function textOf(file: FileHandle, path: string, maxBytes: number): Promise<string> {
  const stats = await file.stat();
  if (!stats.isFile()) throw new ToolError(`${path} is not a file.`);
  if (stats.size > maxBytes) throw new ToolError(`${path} has ${stats.size} bytes; at most ${maxBytes} are read.`);
  // A file may grow, and those of /proc claim no bytes at all: one byte more than may be read tells.
  const chunks: unknown[] = await file.createReadStream({ end: maxBytes, autoClose: false }).toArray();
  const bytes = Buffer.concat(chunks as Buffer[]);
  if (bytes.length > maxBytes) throw new ToolError(`${path} has more than ${maxBytes} bytes.`);
  return bytes.toString('utf8');
}

/**
 * Opens what a path leads to and hands it over with a path of its own. A folder on the way could have become a link
 * after it was judged: the open file itself tells where it lies, and on Linux is a path that cannot be moved away.
 */
async function withOpen<T>(root: string, path: string, use: (file: FileHandle, at: string) => Promise<T>): Promise<T> {
  const { real, realRoot } = await confined(root, path);
  // The links are resolved by now; should one appear in place of the file, O_NOFOLLOW does not follow it.
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(real, flags).catch(() => Promise.reject(missing(path)));
  try {
    const at = join('/proc/self/fd', String(file.fd));
    const lies = await realpath(at).catch(() => undefined); // Linux only
    if (lies !== undefined && !isUnder(realRoot, lies)) throw outside(path);
    return await use(file, lies === undefined ? real : at);
  } finally {
    await file.close();
  }
}

/** Where a path really leads, if that is under the root. */
async function confined(root: string, path: string): Promise<{ real: string; realRoot: string }> {
  if (path.includes('\0')) throw new ToolError('A path holds no NUL.');
  const realRoot = await realpath(root).catch(() => Promise.reject(missing(path)));
  const wanted = resolve(realRoot, path);
  // An absolute path is refused wherever it leads: its answer would tell where the root lies.
  if (isAbsolute(path) || !isUnder(realRoot, wanted)) throw outside(path);
  const real = await realpath(wanted).catch(() => Promise.reject(missing(path)));
  if (!isUnder(realRoot, real)) throw outside(path);
  return { real, realRoot };
}

function isUnder(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

const outside = (path: string) => new ToolError(`${path} leads out of the folder that may be read.`);
const missing = (path: string) => new ToolError(`${path} cannot be read; is it there?`);
