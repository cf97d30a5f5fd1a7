import { constants, monitorEventLoopDelay, performance, PerformanceObserver } from 'node:perf_hooks';
import { getHeapSpaceStatistics } from 'node:v8';
import type { GaugeName } from './metric-names.ts';
import { measure, watch } from './metrics.ts';

/** A delay is seen by a timer that is this long, and counts from its end. */
const resolutionMs = 10;

/** As often as metrics are sent: see metrics-start.ts. */
const windowMs = 15_000;

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

/** How the event loop fared for a while: delays in seconds, and its utilization. */
interface LoopReading {
  p50: number;
  p99: number;
  max: number;
  utilization: number;
}

/** Read from the last window that is over, so that all who read are told the same; before there is one, from the first. */
function watchEventLoop(delays: ReturnType<typeof monitorEventLoopDelay>): (() => void)[] {
  let began = performance.eventLoopUtilization();
  let last: LoopReading | undefined;
  const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e6 - resolutionMs) / 1_000;
  const look = (): LoopReading => ({
    p50: seconds(delays.percentile(50)),
    p99: seconds(delays.percentile(99)),
    max: seconds(delays.max),
    utilization: performance.eventLoopUtilization(began).utilization,
  });
  const timer = setInterval(() => {
    last = look();
    delays.reset();
    began = performance.eventLoopUtilization();
  }, windowMs);
  timer.unref();
  const gauge = (name: GaugeName, part: keyof LoopReading) =>
    watch(name, () => [{ value: (last ?? look())[part], labels: {} }]);
  return [
    gauge('nodejs.eventloop.delay.p50', 'p50'),
    gauge('nodejs.eventloop.delay.p99', 'p99'),
    gauge('nodejs.eventloop.delay.max', 'max'),
    gauge('nodejs.eventloop.utilization', 'utilization'),
    () => clearInterval(timer),
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
