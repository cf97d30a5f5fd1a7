/** Handlers that went on after their abort. They cannot be stopped, so a worker with too many of them is replaced. */
export interface StuckHandlers {
  /** Counts a handler as stuck until `ended` settles, which may be never. */
  add(tool: string, ended: Promise<unknown>): void;
  readonly count: number;
}

export function watchStuckHandlers(maxStuck: number, onTooMany: (tools: string[]) => void): StuckHandlers {
  const stuck = new Set<{ tool: string }>();
  return {
    add(tool, ended) {
      const entry = { tool };
      stuck.add(entry);
      const forget = () => stuck.delete(entry);
      ended.then(forget, forget);
      if (stuck.size === maxStuck) onTooMany([...stuck].map((one) => one.tool));
    },
    get count() {
      return stuck.size;
    },
  };
}
