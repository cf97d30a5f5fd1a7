import type { Outcome } from '@callyard/shared/call';
import { percentile } from '../replay/summary.ts';

/** What became of the load in some time. */
export interface Tally {
  /** calls that were due */
  asked: number;
  /** of them, those not sent as too many were under way */
  shed: number;
  /** calls with an outcome */
  done: number;
  completed: number;
  /** outcomes that are no value, by failure code; runs that ended in no answer, by how */
  codes: Map<string, number>;
  /** of interactive bare calls, from when they were due; a sample where they are many */
  latencies: number[];
  /** how many there were */
  measured: number;
}

const maxLatencies = 100_000;

export const newTally = (): Tally => ({
  asked: 0,
  shed: 0,
  done: 0,
  completed: 0,
  codes: new Map(),
  latencies: [],
  measured: 0,
});

export function noteOutcomes(tally: Tally, outcomes: readonly Pick<Outcome, 'status' | 'error'>[]): void {
  for (const { status, error } of outcomes) {
    tally.done += 1;
    if (status === 'completed') tally.completed += 1;
    else noteCode(tally, error?.code ?? status);
  }
}

export function noteCode({ codes }: Tally, code: string): void {
  codes.set(code, (codes.get(code) ?? 0) + 1);
}

/** Every latency has the same chance to be in the sample (Vitter's algorithm R). */
export function noteLatency(tally: Tally, ms: number): void {
  tally.measured += 1;
  const at =
    tally.latencies.length < maxLatencies ? tally.latencies.length : Math.floor(Math.random() * tally.measured);
  if (at < maxLatencies) tally.latencies[at] = ms;
}

/** One line: `500/s asked  499/s done  p50 4 ms  p95 31 ms  invalid_arguments 9`. */
export function renderTally(tally: Tally, elapsedMs: number, underWay: number): string {
  const perSecond = (count: number) => `${Math.round((count / elapsedMs) * 1_000)}/s`;
  const sorted = tally.latencies.toSorted((a, b) => a - b);
  const ms = (share: number) => `${Math.round(percentile(sorted, share))} ms`;
  const codes = [...tally.codes].toSorted(([, a], [, b]) => b - a).map(([code, count]) => `${code} ${count}`);
  return [
    `asked ${perSecond(tally.asked)}`,
    `done ${perSecond(tally.done)}`,
    `under way ${underWay}`,
    `p50 ${ms(0.5)}`,
    `p95 ${ms(0.95)}`,
    ...(tally.shed > 0 ? [`not sent ${tally.shed}`] : []),
    codes.join(', '),
  ]
    .filter((part) => part !== '')
    .join('  ');
}
