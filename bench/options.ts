export interface BenchOptions {
  redisUrl: string;
  /** interleaved runs of each case */
  runs: number;
  /** one JSON line for each figure, instead of a table */
  json: boolean;
}
