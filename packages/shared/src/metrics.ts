import { metrics, type Counter, type Histogram, type MeterProvider } from '@opentelemetry/api';
import { inTime } from './in-time.ts';
import {
  metricTable,
  type CounterName,
  type GaugeName,
  type HistogramName,
  type LabelsOf,
  type MetricName,
} from './metric-names.ts';

/** Counts something that has happened. Costs next to nothing where nobody collects. */
export function count<N extends CounterName>(name: N, labels: LabelsOf<N>, value = 1): void {
  const meter = metrics.getMeterProvider();
  const counter = instrument(name, meter, () => meter.getMeter('callyard').createCounter(name, about(name)));
  (counter as Counter).add(value, given(labels));
}

/** Notes how much something was: durations in seconds. */
export function measure<N extends HistogramName>(name: N, value: number, labels: LabelsOf<N>): void {
  const meter = metrics.getMeterProvider();
  const histogram = instrument(name, meter, () => meter.getMeter('callyard').createHistogram(name, about(name)));
  (histogram as Histogram).record(value, given(labels));
}

/**
 * A scrape of Prometheus ends after 10 s, and a gauge that is slow is to leave it most of that: it is left out, and the rest
 * seen with Redis out of reach.
 */
const maxReadMs = 1_000;

/** A label without a value is none: OTLP would send it as an empty one. */
function given(labels: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name in labels) {
    const value = labels[name];
    if (value !== undefined) kept[name] = value;
  }
  return kept;
}

/** What a gauge says when it is asked: a value for each combination of its labels. */
export type Reading<N extends GaugeName> = readonly { value: number; labels: LabelsOf<N> }[];

/** Has something read each time metrics are collected, until the function that is returned is called. */
export function watch<N extends GaugeName>(name: N, read: () => Reading<N> | Promise<Reading<N>>): () => void {
  const gauge = metrics.getMeterProvider().getMeter('callyard').createObservableGauge(name, about(name));
  const observe: Parameters<typeof gauge.addCallback>[0] = async (result) => {
    for (const { value, labels } of await inTime(maxReadMs, read())) result.observe(value, given(labels));
  };
  gauge.addCallback(observe);
  return () => gauge.removeCallback(observe);
}

/** Instruments of the provider that is registered, which comes later than this module. */
const instruments = new Map<string, Counter | Histogram>();
let madeBy: MeterProvider | undefined;

function instrument(name: string, provider: MeterProvider, make: () => Counter | Histogram): Counter | Histogram {
  if (provider !== madeBy) {
    instruments.clear();
    madeBy = provider;
  }
  const known = instruments.get(name);
  if (known) return known;
  const made = make();
  instruments.set(name, made);
  return made;
}

function about(name: MetricName) {
  const { unit, about: description, ...rest } = metricTable[name];
  const buckets = 'buckets' in rest ? { advice: { explicitBucketBoundaries: [...rest.buckets] } } : {};
  return { unit, description, ...buckets };
}
