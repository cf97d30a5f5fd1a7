import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

/** What of this machine decides which Redis is found. */
export interface Environment {
  /** folders programs are looked for in, first match wins */
  directories: string[];
  /** where a fetched server is kept between runs */
  cacheDir: string;
}

export function readEnvironment(): Environment {
  const { PATH = '', XDG_CACHE_HOME } = process.env;
  // Homebrew's folder is missing from many a PATH, and the sbin folders apt-get wants from that of ordinary users.
  const beside = ['/opt/homebrew/bin', '/usr/local/bin', '/usr/sbin', '/sbin'];
  return {
    directories: [...new Set([...PATH.split(delimiter).filter(Boolean), ...beside])],
    cacheDir: join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'callyard'),
  };
}
