import type { WorkerConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import type { Logger } from 'pino';
import { prettyLines } from './pretty-log.ts';

/** The log of a process that serves: for people where it has a terminal, JSON lines for everything else. */
export function processLog(
  name: string,
  { logLevel: level, logFormat }: Pick<WorkerConfig, 'logLevel' | 'logFormat'>,
): Logger {
  const { stdout } = process;
  const isPretty = logFormat === 'pretty' || (logFormat === 'auto' && stdout.isTTY);
  if (!isPretty) return createLogger({ name, level });
  const isColoured = stdout.isTTY && stdout.hasColors();
  return createLogger({ name, level, destination: prettyLines((text) => void stdout.write(text), isColoured) });
}
