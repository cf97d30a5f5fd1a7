/** What a process of this bench tells the world. */
export interface Variant {
  name: string;
  /** of traces, from 0 to 1; undefined for none at all */
  sampled: number | undefined;
  metrics: boolean;
  /** the collector takes connections and never answers */
  hangs?: true;
}

export const variants: readonly Variant[] = [
  { name: 'off', sampled: undefined, metrics: false },
  { name: 'metrics', sampled: undefined, metrics: true },
  { name: 'metrics, 0 % of traces', sampled: 0, metrics: true },
  { name: 'metrics, 10 % of traces', sampled: 0.1, metrics: true },
  { name: 'metrics, 100 % of traces', sampled: 1, metrics: true },
  { name: 'the same, and a collector that hangs', sampled: 1, metrics: true, hangs: true },
];

/** What the bench asks of its processes. */
export type Order = { cpu: true } | { turns: number; concurrency: number };

/** µs of CPU since the process began. */
export interface CpuReport {
  cpuMicros: number;
}
