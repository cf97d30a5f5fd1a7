import type { RunOrder, RunReport, RunTurn } from './variants.ts';

/** So many turns, so many at once. */
export async function runTurns({ turns, concurrency }: RunOrder, runTurn: RunTurn): Promise<RunReport> {
  const latenciesMs: number[] = [];
  let left = turns;
  const startedAt = performance.now();
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const at = performance.now();
      await runTurn();
      latenciesMs.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return { elapsedMs: performance.now() - startedAt, latenciesMs };
}
