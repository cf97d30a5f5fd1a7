/** A bar on standard error, drawn only on a terminal. */
export interface ProgressBar {
  show(done: number, of: number): void;
  end(): void;
}

const width = 30;
const everyMs = 100;

export function progressBar(label: string): ProgressBar {
  const { stderr } = process;
  if (!stderr.isTTY) return { show: () => {}, end: () => {} };
  const startedAt = performance.now();
  let drawnAt = 0;
  return {
    show(done, of) {
      const now = performance.now();
      if (now - drawnAt < everyMs && done < of) return;
      drawnAt = now;
      const filled = Math.round((done / of) * width);
      const rate = Math.round((done / (now - startedAt)) * 1_000);
      stderr.write(`\r${label} ${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${done}/${of}  ${rate}/s \x1b[K`);
    },
    end: () => void stderr.write('\r\x1b[K'),
  };
}
