import type { CaseResult } from './run-case.ts';

/** The last line of a replay with `--json`. */
export interface ReplaySummary {
  cases: number;
  calls: number;
  completed: number;
  refused: Record<string, number>;
  failed: Record<string, number>;
  /** cases whose answers stand in the order of the calls */
  ordered: number;
  /** calls without an outcome */
  lost: number;
  /** outcomes beyond one for a call */
  duplicated: number;
  /** cases whose conversation is the recorded one */
  conversationsEqual: number;
  elapsedMs: number;
  callsPerSecond: number;
  /** from enqueue to outcome */
  p50Ms: number;
  p99Ms: number;
}

export function summarize(results: readonly CaseResult[], elapsedMs: number): ReplaySummary {
  const outcomes = results.flatMap((result) => result.outcomes);
  const calls = results.reduce((sum, { expectedCalls }) => sum + expectedCalls, 0);
  const keys = new Set(outcomes.map(({ key }) => key));
  const latencies = outcomes
    .flatMap(({ startedAt, durationMs, enqueuedAt }) =>
      startedAt === undefined ? [] : [startedAt + (durationMs ?? 0) - enqueuedAt],
    )
    .toSorted((a, b) => a - b);
  const byCode = (status: string): Record<string, number> => {
    const codes = outcomes.flatMap((outcome) => (outcome.status === status ? [outcome.error?.code ?? 'none'] : []));
    return Object.fromEntries([...Map.groupBy(codes, (code) => code)].map(([code, all]) => [code, all.length]));
  };
  return {
    cases: results.length,
    calls,
    completed: outcomes.filter(({ status }) => status === 'completed').length,
    refused: byCode('refused'),
    failed: byCode('failed'),
    ordered: results.filter(({ ordered }) => ordered).length,
    lost: calls - keys.size,
    duplicated: outcomes.length - keys.size,
    conversationsEqual: results.filter(({ equal }) => equal).length,
    elapsedMs: Math.round(elapsedMs),
    callsPerSecond: Math.round((outcomes.length / elapsedMs) * 1_000),
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
  };
}

/** Nearest rank; 0 where there is nothing to rank. */
export function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}
