import { userInfo } from 'node:os';

/** Who gives the orders of a command, for the audit stream; a container may know its user by number only. */
export function operator(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.()}`;
  }
}
