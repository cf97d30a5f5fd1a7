import { describe, expect, it } from 'vitest';
import { createFleetReader } from '@callyard/shared/fleet';
import { createLogger } from '@callyard/shared/log';
import { watchFleet } from '../../packages/dispatcher/src/fleet-gauges.ts';
import { collecting } from '../support/collecting.ts';
import { ownRedis } from '../support/own-redis.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { steady, workerProcesses } from '../support/worker-process.ts';

describe('gauges of a dispatcher', () => {
  it('tell of the whole fleet, and nothing after it is closed', async () => {
    const read = await collecting();
    const yard = await setup();
    await workerProcesses(yard, 2, { ...steady, CALLYARD_CONCURRENCY: '2' });
    const dispatcher = await yard.dispatcher();
    await dispatcher.waitForTools(['hold']);
    const stop = new AbortController();
    const asked = dispatcher.execute(
      Array.from({ length: 10 }, () => toolCall('hold')),
      { principal, class: 'batch', signal: stop.signal },
    );
    let last: Awaited<ReturnType<typeof read>> | undefined;
    const told = async () => {
      const { sum } = (last = await read());
      const names = ['workers', 'slots', 'active', 'waiting', 'delayed', 'load', 'lanes'];
      return Object.fromEntries(names.map((name) => [name, sum(`callyard_pool_${name}`)]));
    };
    const full = { workers: 2, slots: 4, active: 4, waiting: 6, delayed: 0, load: 2.5, lanes: 1 };
    await expect.poll(told, { timeout: 15_000, interval: 500 }).toEqual(full);
    const { sum, samples } = last ?? (await read());
    expect(sum('callyard_pool_waiting', { class: 'batch' })).toBe(6);
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

  it('ask a Redis that does not answer once, however often they are read, and say so', async () => {
    const scraped = await collecting();
    const { redis, names, freeze, thaw } = await ownRedis();
    const fleet = createFleetReader(redis, names);
    const events: unknown[] = [];
    const destination = { write: (line: string) => void events.push((JSON.parse(line) as { event: string }).event) };
    let asked = 0;
    const read = (maxAgeMs?: number) => {
      asked += 1;
      return fleet.read(maxAgeMs);
    };
    const stop = watchFleet({ read }, createLogger({ name: 'test', destination }));
    const isTold = async () => (await scraped()).text.includes('callyard_redis_memory{state="used"}');
    await expect.poll(isTold).toBe(true);
    const [before, said] = [asked, events.length];
    freeze();
    await expect.poll(isTold).toBe(false);
    for (let i = 0; i < 5; i++) expect(await isTold()).toBe(false);
    expect({ asked: asked - before, events: events.slice(said) }).toEqual({ asked: 1, events: ['fleet.unread'] });
    thaw();
    await expect.poll(isTold).toBe(true);
    stop();
  });
});
