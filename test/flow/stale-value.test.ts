import { describe, expect, it } from 'vitest';
import type { PolicyInput } from '@callyard/worker';
import { down, weather, yardWith } from '../support/weather.ts';

describe('the last value', () => {
  const cached = (staleIfErrorMs: number): PolicyInput => ({
    effects: 'none',
    retry: { attempts: 1 },
    cache: { ttlMs: 1, staleIfErrorMs },
  });
  const once = () => {
    let runs = 0;
    return () => (++runs === 1 ? 'sun' : down());
  };

  it('is given while it is stale and the tool fails, before any fallback', async () => {
    const { yard, ask } = await yardWith(weather(once(), () => 'mild', cached(60_000)));
    expect((await ask())?.degraded).toBeUndefined();
    const kept = () => yard.redis.keys(yard.names.cached('*')).then(([key = '']) => yard.redis.pttl(key));
    const before = await kept();
    expect(await ask()).toMatchObject({ value: 'sun', degraded: { why: 'tool_error', by: 'stale' }, attempts: 1 });
    expect(await kept()).toBeLessThanOrEqual(before);
    expect((await ask({ city: 'Rome' }))?.degraded).toEqual({ why: 'tool_error', by: 'handler' });
  });

  it('is not given when it is older than it may be', async () => {
    const { yard, ask } = await yardWith(weather(once(), undefined, cached(50)));
    await ask();
    await expect.poll(() => yard.redis.keys(yard.names.cached('*'))).toEqual([]);
    expect(await ask()).toMatchObject({ status: 'failed', error: { code: 'tool_error' } });
  });

  it('is never that of a fallback', async () => {
    const { yard, ask } = await yardWith(weather(down, () => 'mild', cached(60_000)));
    await ask();
    expect(await yard.redis.keys(yard.names.cached('*'))).toEqual([]);
  });
});
