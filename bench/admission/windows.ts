/** The largest number of these times, sorted, that any window of this length holds; its ends count as within. */
export function mostWithin(times: readonly number[], windowMs: number): number {
  let first = 0;
  let most = 0;
  for (const [i, at] of times.entries()) {
    while (at - (times[first] as number) > windowMs) first += 1;
    most = Math.max(most, i - first + 1);
  }
  return most;
}
