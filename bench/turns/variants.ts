/* What the three variants share: the tool, and the words between the bench and its processes. */

export const variants = ['plain', 'queue-events', 'callyard'] as const;
export type Variant = (typeof variants)[number];

/** A turn proposes this many calls. */
export const callsPerTurn = 3;

/** Slots of the one worker process that every variant has: Callyard's default. */
export const workerSlots = 50;

/** Arguments of an ordinary call, as long as those of recorded ones: 60 bytes. */
export const callArguments = { city: 'Reykjavik', unit: 'celsius', days: 3, detail: 'hourly' };

export interface RunOrder {
  turns: number;
  concurrency: number;
}

export interface RunReport {
  elapsedMs: number;
  /** of each turn, unsorted */
  latenciesMs: number[];
}

/** What a variant's dispatcher does: one turn, from proposal to outcomes. */
export type RunTurn = () => Promise<void>;
