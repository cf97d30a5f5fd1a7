import { setTimeout as delay } from 'node:timers/promises';

/** Takes the whole terminal, and gives it back as it was. */
const enter = '\x1b[?1049h\x1b[?25l';
const leave = '\x1b[?25h\x1b[?1049l';

/** `q`, and Ctrl-C, which is no signal while keys are read one by one. */
const quitKeys = ['q', 'Q', '\x03'];

/**
 * Shows a page again and again, until somebody leaves: on a terminal in place, elsewhere one below the other. What is
 * asked for while it is left is not waited for.
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
      const page = await Promise.race([read(), gone]);
      if (page === undefined) return;
      stdout.write(isTerminal ? inPlace(page, stdout.columns, stdout.rows) : `${page}\n`);
      await delay(everyMs, undefined, { signal: quit.signal }).catch(() => {});
    }
  } finally {
    if (isTerminal) stdout.write(leave);
    stopListening();
  }
}

/** No more than the terminal holds: it would scroll. */
function inPlace(page: string, columns: number, rows: number): string {
  const lines = page.split('\n').slice(0, Math.max(1, rows - 1));
  return `\x1b[H${lines.map((line) => `${line.slice(0, columns)}\x1b[K`).join('\n')}\x1b[J`;
}

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
