import { Redis } from 'ioredis';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createConversationStates } from '@callyard/shared/conversation-state';
import { redisProxy } from '../support/redis-proxy.ts';
import { setup } from '../support/setup.ts';

async function statesOf(ttlMs = 60_000) {
  const { redis, names } = await setup();
  return { redis, names, states: createConversationStates(redis, names, ttlMs) };
}

const refused = (version: number, value: object) => ({ ok: false, current: { version, value } });

describe('the state of a conversation', () => {
  it('is empty before it was written, and what was written last after that', async () => {
    const { states } = await statesOf();
    expect(await states.read('acme', 'c')).toEqual({ version: 0, value: {} });
    expect(await states.write('acme', 'c', { step: 'pay', items: [1, { a: null }] }, 0)).toEqual({
      ok: true,
      version: 1,
    });
    expect(await states.read('acme', 'c')).toEqual({ version: 1, value: { step: 'pay', items: [1, { a: null }] } });
    expect(await states.write('acme', 'c', {}, 1)).toEqual({ ok: true, version: 2 });
    expect(await states.read('acme', 'c')).toEqual({ version: 2, value: {} });
  });

  it('belongs to its owner', async () => {
    const { states } = await statesOf();
    await states.write('acme', 'b:c', { step: 'pay' }, 0);
    expect(await states.read('other', 'b:c')).toEqual({ version: 0, value: {} });
    expect(await states.read('acme:b', 'c')).toEqual({ version: 0, value: {} });
  });

  it.each([0, 2, -1, 1.5, Number.NaN])('at version 1 is not written by one who read version %s', async (version) => {
    const { states } = await statesOf();
    await states.write('acme', 'c', { step: 'pay' }, 0);
    expect(await states.write('acme', 'c', { step: 'lost' }, version)).toEqual(refused(1, { step: 'pay' }));
    expect(await states.read('acme', 'c')).toEqual({ version: 1, value: { step: 'pay' } });
  });

  it('that was never written is refused to one who read a later version', async () => {
    const { states } = await statesOf();
    expect(await states.write('acme', 'c', {}, 3)).toEqual(refused(0, {}));
  });

  it('is a JSON object of at most 64 KiB', async () => {
    const { states } = await statesOf();
    const text = 'x'.repeat(65_536 - '{"a":""}'.length);
    expect(await states.write('acme', 'c', { a: text }, 0)).toMatchObject({ ok: true });
    await expect(states.write('acme', 'c', { a: `${text}x` }, 1)).rejects.toThrow(
      'takes 65537 bytes; at most 65536 are kept',
    );
    await expect(states.write('acme', 'c', { a: text.replace('x', 'ø') }, 1)).rejects.toThrow(TypeError);
    for (const wrong of [[], null, 'text', 7, undefined, new Date()]) {
      await expect(states.write('acme', 'c', wrong as never, 1)).rejects.toThrow('is a JSON object');
    }
    expect(await states.read('acme', 'c')).toMatchObject({ version: 1 });
  });

  it('is changed by each of many that change it at once', async () => {
    const { states } = await statesOf();
    const add = (value: Readonly<Record<string, unknown>>) => ({ count: Number(value.count ?? 0) + 1 });
    await Promise.all(Array.from({ length: 40 }, () => states.update('acme', 'c', add)));
    expect(await states.read('acme', 'c')).toEqual({ version: 40, value: { count: 40 } });
  });

  it('is given up by one whom others are always ahead of', async () => {
    const { states } = await statesOf();
    let tries = 0;
    const overtaken = async () => {
      await states.write('acme', 'c', { by: 'another' }, tries);
      tries += 1;
      return { by: 'me' };
    };
    await expect(states.update('acme', 'c', overtaken)).rejects.toThrow('was written 100 times by others');
    expect(await states.read('acme', 'c')).toEqual({ version: 100, value: { by: 'another' } });
  });

  it('is not written after its guard has thrown, though the change was made', async () => {
    const { states } = await statesOf();
    const guard = () => {
      throw new Error('too late');
    };
    await expect(states.update('acme', 'c', () => ({ step: 'lost' }), guard)).rejects.toThrow('too late');
    expect(await states.read('acme', 'c')).toMatchObject({ version: 0 });
  });

  it('is changed once where the answer to its write was lost, and it was sent again', async () => {
    const { redisUrl, names } = await setup();
    const proxy = await redisProxy(redisUrl);
    const redis = new Redis(proxy.url, { maxRetriesPerRequest: null });
    onTestFinished(() => redis.disconnect());
    const states = createConversationStates(redis, names, 60_000);
    await states.write('acme', 'c', { count: 1 }, 0);
    proxy.cutAfter(2, /:conversation:/);
    const changed = await states.update('acme', 'c', (value) => ({ count: Number(value.count) + 1 }));
    expect(proxy.hasCut()).toBe(true);
    expect(changed).toEqual({ count: 2 });
    expect(await states.read('acme', 'c')).toEqual({ version: 2, value: { count: 2 } });
  });

  it('keeps all of its conversation for another while with each write, and no part for less long', async () => {
    const { redis, names, states } = await statesOf(60_000);
    const key = names.conversation('acme', 'c');
    await redis.rpush(`${key}:messages`, '{}');
    await redis.rpush(`${key}:runs`, 'r');
    await redis.pexpire(`${key}:messages`, 5_000);
    await redis.pexpire(`${key}:runs`, 900_000);
    await states.write('acme', 'c', { step: 'pay' }, 0);
    const ttls = await Promise.all(['', ':messages', ':runs'].map((part) => redis.pttl(`${key}${part}`)));
    expect(ttls.map((ttl) => Math.round(ttl / 10_000))).toEqual([6, 6, 90]);
  });
});
