import type { Fleet, FleetPool, FleetReader } from '@callyard/shared/fleet';
import { inTime } from '@callyard/shared/in-time';
import type { GaugeName } from '@callyard/shared/metric-names';
import { watch, type Reading } from '@callyard/shared/metrics';
import type { Logger } from 'pino';

/** Dispatchers that are scraped within this tell what one of them has read. */
const maxAgeMs = 5_000;

/** All gauges of one collection tell of one moment. */
const collectionMs = 500;

/** What is not read by then is not waited for: less than a gauge is given. */
const lateMs = 800;

const classes = ['interactive', 'batch'] as const;

/**
 * Has the queues of the whole fleet told as gauges: by dispatchers only, each of which says the same, so that `max` over
 * them is right. Where Redis cannot be asked they say nothing. Returns what ends it.
 */
export function watchFleet(fleet: FleetReader, log: Logger): () => void {
  const read = oncePerCollection(fleet, log);
  const gauge = <N extends GaugeName>(name: N, tell: (told: Fleet) => Reading<N>) =>
    watch(name, async () => {
      const told = await read();
      return told ? tell(told) : [];
    });
  const ofPools = <N extends GaugeName>(name: N, tell: (pool: FleetPool) => Reading<N>) =>
    gauge(name, ({ pools }) => pools.flatMap(tell));
  const perPool = (name: PoolGauge, value: (pool: FleetPool) => number) =>
    ofPools(name, (pool) => [{ value: value(pool), labels: { pool: pool.pool } }]);

  const stops = [
    perPool('callyard.pool.workers', ({ workers }) => workers.length),
    perPool('callyard.pool.slots', ({ slots }) => slots),
    perPool('callyard.pool.active', ({ active }) => active),
    perPool('callyard.pool.delayed', ({ delayed }) => delayed),
    perPool('callyard.pool.load', ({ load }) => load),
    perPool('callyard.dead_letter.jobs', ({ dead }) => dead),
    ofPools('callyard.pool.waiting', ({ pool, waiting }) =>
      classes.map((one) => ({ value: waiting[one], labels: { pool, class: one } })),
    ),
    ofPools('callyard.pool.oldest.age', ({ pool, oldestMs }) =>
      classes.map((one) => ({ value: oldestMs[one] / 1_000, labels: { pool, class: one } })),
    ),
    ofPools('callyard.pool.lanes', ({ pool, lanes }) =>
      lanes.map(({ class: ofClass, reason, lanes: value }) => ({ value, labels: { pool, class: ofClass, reason } })),
    ),
    gauge('callyard.runs.current', ({ runs }) =>
      (['queued', 'running', 'waiting'] as const).map((state) => ({ value: runs[state], labels: { state } })),
    ),
    gauge('callyard.redis.memory', ({ redis: { usedBytes, maxBytes } }) => [
      { value: usedBytes, labels: { state: 'used' } },
      ...(maxBytes === undefined ? [] : [{ value: maxBytes, labels: { state: 'max' } }]),
    ]),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}

type PoolGauge =
  | 'callyard.pool.workers'
  | 'callyard.pool.slots'
  | 'callyard.pool.active'
  | 'callyard.pool.delayed'
  | 'callyard.pool.load'
  | 'callyard.dead_letter.jobs';

/** A reading that hangs is not asked for again: with Redis out of reach, each would wait there and be sent then. */
function oncePerCollection(fleet: FleetReader, log: Logger): () => Promise<Fleet | undefined> {
  let told: Promise<Fleet | undefined> | undefined;
  let isReading = false;
  let readAt = 0;
  const unread = (error: unknown): undefined => {
    log.warn({ event: 'fleet.unread', err: error }, 'it could not be read how the queues stand');
  };
  const read = (): Promise<Fleet | undefined> => {
    isReading = true;
    const reading = fleet.read(maxAgeMs).finally(() => (isReading = false));
    return inTime(lateMs, reading).catch(unread);
  };
  return () => {
    if (told && (isReading || performance.now() - readAt < collectionMs)) return told;
    readAt = performance.now();
    return (told = read());
  };
}
