/** Bounds a worker sets for every tool; the figures' defaults stand in shared/config.ts. */
export interface WorkerLimits {
  maxArgumentBytes: number;
  maxResultBytes: number;
  /** how long after its abort a handler that goes on counts as stuck */
  stuckAfterMs: number;
  /** how long an outcome is kept past the deadline of its call */
  ledgerTtlMs: number;
  /** what tools say of their failures is logged, and at level debug arguments and results */
  logContent: boolean;
}
