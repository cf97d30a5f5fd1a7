import { setTimeout as delay } from 'node:timers/promises';

/** Takes the whole terminal, and gives it back as it was. */
const enter = '\x1b[?1049h\x1b[?25l';
const leave = '\x1b[?25h\x1b[?1049l';

/** `q`, and Ctrl-C, which is no signal while keys are read one by one. */
const quitKeys = ['q', 'Q', '\x03'];

/**
 * Shows a page again and again, until somebody leaves: on a terminal in place, elsewhere one below the other. What is
 * asked for while it is left is not waited for. A page that has not come when the next is due is told of, as the one
 * that stands is none of now: a command to a Redis that is gone ends when it is back.
 */
export async function showLive(read: () => Promise<string>, everyMs: number): Promise<void> {
  const { stdout } = process;
  const quit = new AbortController();
  const isTerminal = stdout.isTTY && process.stdin.isTTY;
  const stopListening = listen(quit, isTerminal);
  const gone = new Promise<undefined>((resolve) => quit.signal.addEventListener('abort', () => resolve(undefined)));
  if (isTerminal) stdout.write(enter);
  try {
    while (!quit.signal.aborted) {
      const late = setTimeout(tellLate, everyMs, timeText(new Date()), isTerminal);
      const page = await Promise.race([read(), gone]).finally(() => clearTimeout(late));
      if (page === undefined) return;
      stdout.write(isTerminal ? inPlace(screenful(page, stdout)) : `${page}\n`);
      await delay(everyMs, undefined, { signal: quit.signal }).catch(() => {});
    }
  } finally {
    if (isTerminal) stdout.write(leave);
    stopListening();
  }
}

/** `22:15:03`, as the clock on the wall has it. */
export const timeText = (date: Date): string => date.toTimeString().slice(0, 8);

/** On a terminal in place of the first line, which says of when the page is. */
function tellLate(since: string, isTerminal: boolean): void {
  const told = `Redis does not answer since ${since}`;
  if (isTerminal) process.stdout.write(`\x1b[H${cut(`${told}; below is from before`, process.stdout.columns)}\x1b[K`);
  else console.error(`callyard: ${told}`);
}

/** The lines that a terminal has room for; what it has not is counted. One more, and it would scroll. */
export function screenful(page: string, { columns, rows }: { columns: number; rows: number }): string[] {
  const lines = page
    .trimEnd()
    .split('\n')
    .map((line) => cut(line, columns));
  const max = Math.max(1, rows - 1);
  if (lines.length <= max) return lines;
  return [...lines.slice(0, max - 1), cut(`… ${lines.length - max + 1} more lines`, columns)];
}

const cut = (line: string, columns: number): string =>
  line.length > columns ? `${line.slice(0, columns - 1)}…` : line;

const inPlace = (lines: readonly string[]): string => `\x1b[H${lines.map((line) => `${line}\x1b[K`).join('\n')}\x1b[J`;

function listen(quit: AbortController, isTerminal: boolean): () => void {
  const { stdin, stdout } = process;
  const stop = () => quit.abort();
  const onKey = (key: Buffer) => {
    if (quitKeys.includes(key.toString())) stop();
  };
  process.on('SIGINT', stop).on('SIGTERM', stop);
  stdout.on('error', stop); // whoever read it is gone
  if (isTerminal) stdin.setRawMode(true).on('data', onKey);
  return () => {
    process.off('SIGINT', stop).off('SIGTERM', stop);
    if (isTerminal) stdin.off('data', onKey).setRawMode(false).pause();
  };
}
