import { secondsSince } from '@callyard/shared/call-metrics';
import { count, measure } from '@callyard/shared/metrics';
import type { RunEnd } from './run-record.ts';

/** Counts a run that has ended. To be called by whoever wrote its end; times are Redis time. */
export function countRun({ state, stop }: RunEnd, begunAt: number, now: number): void {
  count('callyard.runs', { state, stop });
  measure('callyard.run.duration', secondsSince(begunAt, now), { state });
}
