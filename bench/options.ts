export interface BenchOptions {
  redisUrl: string;
  /** interleaved runs of each case */
  runs: number;
  /** one JSON line for each figure, instead of a table */
  json: boolean;
  /** of the bench of admission: the guarantees to measure; all where it is empty */
  only: number[];
}
