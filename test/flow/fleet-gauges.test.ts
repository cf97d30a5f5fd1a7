import { describe, expect, it } from 'vitest';
import { collecting } from '../support/collecting.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { workerProcesses } from '../support/worker-process.ts';

describe('gauges of a dispatcher', () => {
  it('tell of the whole fleet, and nothing after it is closed', async () => {
    const read = await collecting();
    const yard = await setup();
    await workerProcesses(yard, 2, { CALLYARD_CONCURRENCY: '2' });
    const dispatcher = await yard.dispatcher();
    await dispatcher.waitForTools(['hold']);
    const stop = new AbortController();
    const asked = dispatcher.execute(
      Array.from({ length: 10 }, () => toolCall('hold')),
      { principal, class: 'batch', signal: stop.signal },
    );
    const waiting = async () => (await read()).sum('callyard_pool_waiting', { class: 'batch' });
    await expect.poll(waiting, { timeout: 15_000, interval: 500 }).toBe(6);
    const { sum, samples } = await read();
    const told = Object.fromEntries(
      ['workers', 'slots', 'active', 'delayed', 'load', 'lanes'].map((name) => [name, sum(`callyard_pool_${name}`)]),
    );
    expect(told).toEqual({ workers: 2, slots: 4, active: 4, delayed: 0, load: 2.5, lanes: 1 });
    expect(sum('callyard_pool_oldest_age', { class: 'batch' })).toBeGreaterThan(0);
    expect(sum('callyard_pool_oldest_age', { class: 'interactive' })).toBe(0);
    expect(sum('callyard_redis_memory', { state: 'used' })).toBeGreaterThan(500_000);
    expect(sum('callyard_dead_letter_jobs')).toBe(0);
    expect(sum('callyard_runs_current', { state: 'queued' })).toBe(0);
    expect(samples.find(({ name }) => name === 'callyard_pool_lanes')?.labels).toMatchObject({
      class: 'batch',
      reason: 'share',
    });
    stop.abort();
    await asked;
    await dispatcher.close();
    expect((await read()).text).not.toContain('callyard_pool_');
  });
});
