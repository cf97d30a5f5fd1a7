import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { count, measure, watch } from '@callyard/shared/metrics';
import { collecting } from '../support/collecting.ts';

describe('metrics', () => {
  it('are nothing to a process that collects none', () => {
    expect(() => {
      count('callyard.calls', { outcome: 'completed' });
      measure('callyard.notice.lag', 1, {});
      watch('callyard.worker.slots', () => [])();
    }).not.toThrow();
  });

  it('are counted from when somebody collects them, also where that begins after the first of them', async () => {
    count('callyard.calls', { outcome: 'completed' });
    const read = await collecting();
    count('callyard.calls', { outcome: 'completed' });
    count('callyard.calls', { outcome: 'completed' }, 2);
    expect((await read()).sum('callyard_calls_total', { outcome: 'completed' })).toBe(3);
  });

  it('have no label where it has no value', async () => {
    const read = await collecting();
    count('callyard.calls', { outcome: 'completed', 'error.type': undefined });
    expect((await read()).text).toContain('\ncallyard_calls_total{outcome="completed"} 1\n');
  });

  it('have the unit and the buckets of their table', async () => {
    const read = await collecting();
    measure('callyard.run.duration', 0.003, { state: 'completed' });
    const { text, samples } = await read();
    expect(text).toContain('# UNIT callyard_run_duration s\n');
    const buckets = samples.filter(({ name }) => name === 'callyard_run_duration_bucket');
    expect(buckets.slice(0, 4).map(({ labels, value }) => [labels.le, value])).toEqual([
      ['0.001', 0],
      ['0.0025', 0],
      ['0.005', 1],
      ['0.01', 1],
    ]);
    expect(buckets.at(-1)?.labels.le).toBe('+Inf');
  });

  it('show a gauge as it stands: what is not said any more is gone', async () => {
    const read = await collecting();
    let reading = [
      { value: 7, labels: { pool: 'a' } },
      { value: 8, labels: { pool: 'b' } },
    ];
    const stop = watch('callyard.pool.workers', async () => reading);
    const shown = async () =>
      (await read()).samples.filter(({ name }) => name === 'callyard_pool_workers').map(({ value }) => value);
    expect(await shown()).toEqual([7, 8]);
    reading = reading.slice(1);
    expect(await shown()).toEqual([8]);
    stop();
    expect(await shown()).toEqual([]);
  });

  it('are shown although a gauge cannot be read, or not in time', async () => {
    const read = await collecting();
    const stops = [
      watch('callyard.pool.workers', () => new Promise<never>(() => {})),
      watch('callyard.pool.slots', () => Promise.reject(new Error('Redis is gone'))),
      watch('callyard.worker.slots', () => [{ value: 7, labels: {} }]),
    ];
    const { sum, text } = await read();
    expect(sum('callyard_worker_slots')).toBe(7);
    expect(text).not.toContain('callyard_pool');
    for (const stop of stops) stop();
  });

  it('have so many series and no more: what comes beyond is counted together', async () => {
    const read = await collecting();
    const calls = 12_000;
    for (let i = 0; i < calls; i++) count('callyard.calls', { 'gen_ai.tool.name': `tool_${i}`, outcome: 'completed' });
    const { samples, sum } = await read();
    expect(samples.filter(({ name }) => name === 'callyard_calls_total').length).toBeLessThanOrEqual(10_000);
    expect(sum('callyard_calls_total', { otel_metric_overflow: 'true' })).toBeGreaterThan(1_999);
    expect(sum('callyard_calls_total')).toBe(calls);
  });

  it('tell how the process itself fares', async () => {
    const began = performance.now();
    const read = await collecting();
    await heldUp();
    const { sum, samples } = await read();
    expect(sum('nodejs_eventloop_delay_max')).toBeGreaterThan(0.1);
    expect(sum('nodejs_eventloop_utilization')).toBeGreaterThanOrEqual(heldUpMs / (performance.now() - began));
    expect(sum('process_memory_usage')).toBeGreaterThan(20e6);
    expect(samples.some(({ name, labels }) => name === 'v8js_memory_heap_used' && labels.v8js_heap_space_name)).toBe(
      true,
    );
  });

  it('tell each who reads the same of the event loop, however many read', async () => {
    const began = performance.now();
    const read = await collecting();
    await heldUp();
    const readings = [await read(), await read()];
    const share = heldUpMs / (performance.now() - began);
    for (const { sum } of readings) {
      expect(sum('nodejs_eventloop_delay_max')).toBeGreaterThan(0.1);
      expect(sum('nodejs_eventloop_utilization')).toBeGreaterThanOrEqual(share);
    }
  });

  it('tell of the event loop as it was in the last 15 seconds that are over', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const read = await collecting();
    const longestOfNext = async () => {
      vi.advanceTimersByTime(15_000);
      return (await read()).sum('nodejs_eventloop_delay_max');
    };
    await heldUp();
    // Seen by a timer, which may be late itself: in the window after.
    await expect.poll(longestOfNext).toBeGreaterThan(0.1);
    // A busy machine holds this process up as well, though not in each window.
    await expect.poll(longestOfNext).toBeLessThan(0.1);
  });
});

const heldUpMs = 200;

async function heldUp(): Promise<void> {
  await delay(20);
  const until = performance.now() + heldUpMs;
  while (performance.now() < until);
  await delay(20);
}
