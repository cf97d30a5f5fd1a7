import { constants, monitorEventLoopDelay, performance, PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import { measure, watch } from './metrics.ts';

/** A delay is seen by a timer that is this long, and counts from its end. */
const resolutionMs = 10;

const gcTypes: Readonly<Record<number, string>> = {
  [constants.NODE_PERFORMANCE_GC_MAJOR]: 'major',
  [constants.NODE_PERFORMANCE_GC_MINOR]: 'minor',
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL]: 'incremental',
  [constants.NODE_PERFORMANCE_GC_WEAKCB]: 'weakcb',
};

/** Tells how Node itself fares in this process, until the function that is returned is called. */
export function watchRuntime(): () => void {
  const delays = monitorEventLoopDelay({ resolution: resolutionMs });
  delays.enable();
  const collections = new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { duration, detail } = entry as PerformanceEntry & { detail?: { kind: number } };
      measure('v8js.gc.duration', duration / 1_000, { 'v8js.gc.type': gcTypes[detail?.kind ?? 0] });
    }
  });
  collections.observe({ entryTypes: ['gc'] });
  const stops = [...watchEventLoop(delays), ...watchMemory()];
  return () => {
    for (const stop of stops) stop();
    collections.disconnect();
    delays.disable();
  };
}

/** Each reading is of the time since the one before. */
function watchEventLoop(delays: ReturnType<typeof monitorEventLoopDelay>): (() => void)[] {
  let last = performance.eventLoopUtilization();
  const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolutionMs) / 1_000;
  const one = (value: number) => [{ value, labels: {} }];
  return [
    watch('nodejs.eventloop.delay.p50', () => one(seconds(delays.percentile(50)))),
    watch('nodejs.eventloop.delay.p99', () => one(seconds(delays.percentile(99)))),
    watch('nodejs.eventloop.delay.max', () => {
      const max = seconds(delays.max);
      setImmediate(() => delays.reset()); // the others read it in this same turn
      return one(max);
    }),
    watch('nodejs.eventloop.utilization', () => {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return one(utilization);
    }),
  ];
}

function watchMemory(): (() => void)[] {
  return [
    watch('process.memory.usage', () => [{ value: process.memoryUsage.rss(), labels: {} }]),
    watch('v8js.memory.heap.used', () =>
      getHeapSpaceStatistics().map(({ space_name: space, space_used_size: value }) => ({
        value,
        labels: { 'v8js.heap.space.name': space },
      })),
    ),
  ];
}
