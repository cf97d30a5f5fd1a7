/** Buckets that are blocked because the service behind a tool asked for patience, by the time they open. */
export interface Blocks {
  readonly isEmpty: boolean;
  add(bucket: string, until: number): void;
  /** when it opens, or undefined when it is open */
  until(bucket: string, now: number): number | undefined;
}

export function createBlocks(): Blocks {
  const blocked = new Map<string, number>();
  return {
    get isEmpty() {
      return blocked.size === 0;
    },
    add: (bucket, until) => void blocked.set(bucket, until),
    until(bucket, now) {
      const at = blocked.get(bucket);
      if (at === undefined || at > now) return at;
      blocked.delete(bucket);
      return undefined;
    },
  };
}
