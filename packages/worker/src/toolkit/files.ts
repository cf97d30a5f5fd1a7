import { constants } from 'node:fs';
import { open, readdir, realpath } from 'node:fs/promises';
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
    async read(path) {
      const { real, realRoot } = await confined(root, path);
      // The links are resolved by now; should one appear in place of the file, O_NOFOLLOW does not follow it.
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      const file = await open(real, flags).catch(() => Promise.reject(missing(path)));
      try {
        await refuseMoved(file.fd, realRoot, path);
        const stats = await file.stat();
        if (!stats.isFile()) throw new ToolError(`${path} is not a file.`);
        if (stats.size > maxBytes)
          throw new ToolError(`${path} has ${stats.size} bytes; at most ${maxBytes} are read.`);
        return await file.readFile('utf8');
      } finally {
        await file.close();
      }
    },
    async list(path = '.') {
      const { real } = await confined(root, path);
      const entries = await readdir(real, { withFileTypes: true }).catch(() => Promise.reject(missing(path)));
      return entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name)).toSorted();
    },
  };
}

/** Where a path really leads, if that is under the root. */
async function confined(root: string, path: string): Promise<{ real: string; realRoot: string }> {
  if (path.includes('\0')) throw new ToolError('A path holds no NUL.');
  const realRoot = await realpath(root).catch(() => Promise.reject(missing(path)));
  const wanted = resolve(realRoot, path);
  if (!isUnder(realRoot, wanted)) throw outside(path);
  const real = await realpath(wanted).catch(() => Promise.reject(missing(path)));
  if (!isUnder(realRoot, real)) throw outside(path);
  return { real, realRoot };
}

/** A folder on the way could have become a link after it was judged: the open file itself tells where it lies. */
async function refuseMoved(fd: number, realRoot: string, path: string): Promise<void> {
  const at = await realpath(join('/proc/self/fd', String(fd))).catch(() => undefined); // Linux only
  if (at !== undefined && !isUnder(realRoot, at)) throw outside(path);
}

function isUnder(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

const outside = (path: string) => new ToolError(`${path} leads out of the folder that may be read.`);
const missing = (path: string) => new ToolError(`${path} cannot be read; is it there?`);
