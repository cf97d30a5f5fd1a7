import { describe, expect, it, vi } from 'vitest';
import { readCatalog } from '@callyard/shared/catalog';
import { defineTool, Type, type Tool } from '@callyard/worker';
import { setup, toolCall, principal } from '../support/setup.ts';

const tool = (name: string, version = '1.0.0', properties: Type.TProperties = {}): Tool =>
  defineTool({ name, version, description: name, parameters: Type.Object(properties), handler: () => version });

describe('the catalog', () => {
  it('lists workers with the same tools as one pool, others apart', async () => {
    const yard = await setup();
    const [a, b] = [await yard.worker([tool('x'), tool('y')]), await yard.worker([tool('y'), tool('x')])];
    const other = await yard.worker([tool('x')]);
    expect(a.pool).toBe(b.pool);
    expect(other.pool).not.toBe(a.pool);
    const pools = await readCatalog(yard.redis, yard.names);
    expect(new Map(pools.map(({ pool, workers }) => [pool, workers.length]))).toEqual(
      new Map([
        [a.pool, 2],
        [other.pool, 1],
      ]),
    );
  });

  it('loses a worker that stops at once, and one that died after three missed heartbeats', async () => {
    const yard = await setup();
    const leaving = await yard.worker([tool('x')]);
    await leaving.close();
    expect(await readCatalog(yard.redis, yard.names)).toEqual([]);
    const dead = { id: 'dead', pool: 'p', slots: 1, host: 'h', pid: 1, startedAt: 0 };
    await yard.redis.set(yard.names.manifests('p'), '[]');
    await yard.redis.zadd(yard.names.workers, Date.now() - 1, JSON.stringify(dead));
    expect(await readCatalog(yard.redis, yard.names)).toEqual([]);
    expect(await yard.redis.zcard(yard.names.workers)).toBe(0);
  });

  it('refuses a version that a live worker serves with another schema, and names both', async () => {
    const yard = await setup();
    const first = await yard.worker([tool('x')]);
    const other = yard.worker([tool('x', '1.0.0', { a: Type.String() })]);
    await expect(other).rejects.toThrow(
      `tool x@1.0.0: worker ${first.id} already serves this version with another schema`,
    );
    await expect(yard.worker([tool('x', '1.1.0', { a: Type.String() })])).resolves.toBeDefined();
  });

  it('tells a running dispatcher of tools that come and go', async () => {
    const yard = await setup();
    const dispatcher = await yard.dispatcher();
    expect(dispatcher.tools()).toEqual([]);
    const worker = await yard.worker([tool('x'), tool('x', '2.0.0')]);
    await dispatcher.waitForTools(['x']);
    expect(dispatcher.tools().map(({ name, version }) => `${name}@${version}`)).toEqual(['x@2.0.0']);
    const ranged = await dispatcher.execute([toolCall('x')], { principal, tools: ['x@^1'] });
    expect(ranged.outcomes[0]).toMatchObject({ value: '1.0.0', tool: { version: '1.0.0' } });
    await worker.close();
    await vi.waitFor(() => expect(dispatcher.tools()).toEqual([]));
  });

  it('gives up waiting for tools that do not come', async () => {
    const yard = await setup();
    const dispatcher = await yard.dispatcher();
    await expect(dispatcher.waitForTools(['never'], 30)).rejects.toThrow(/timeout/i);
  });
});
