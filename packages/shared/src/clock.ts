import type { Redis } from './redis.ts';

/** Milliseconds since 1970 on the clock of Redis: the one all processes agree on. */
export interface Clock {
  now(): number;
  stop(): void;
}

/** How often the offset is measured again: quartz drifts by about 1 ms in that time. */
const measureEveryMs = 30_000;

/** Measures how far this machine's clock is from that of Redis, at once and then every 30 s. */
export async function startClock(redis: Redis): Promise<Clock> {
  let offset = await measureOffset(redis);
  const timer = setInterval(() => {
    measureOffset(redis).then(
      (measured) => (offset = measured),
      () => {}, // Redis is away: the old offset serves until the next time
    );
  }, measureEveryMs);
  timer.unref();
  return {
    now: () => Math.round(performance.timeOrigin + performance.now() + offset),
    stop: () => clearInterval(timer),
  };
}

/** Of so many answers the quickest is taken: while a process starts, its event loop may hold one up by 100 ms and more. */
const samples = 5;

async function measureOffset(redis: Redis): Promise<number> {
  let best = await sample(redis);
  for (let i = 1; i < samples; i += 1) {
    const next = await sample(redis);
    if (next.tookMs < best.tookMs) best = next;
  }
  return best.offset;
}

/** Half of the way there, half of it back: wrong by no more than half of what it took. */
async function sample(redis: Redis): Promise<{ offset: number; tookMs: number }> {
  const before = performance.timeOrigin + performance.now();
  const [seconds, micros] = await redis.time();
  const after = performance.timeOrigin + performance.now();
  const offset = Number(seconds) * 1_000 + Number(micros) / 1_000 - (before + after) / 2;
  return { offset, tookMs: after - before };
}
