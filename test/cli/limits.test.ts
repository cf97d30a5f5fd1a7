import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { LimitsReport } from '@callyard/dispatcher';
import { defineTool, Type } from '@callyard/worker';
import { callyard, listedForLong } from '../support/callyard-command.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { folderWith } from '../support/temporary-folder.ts';

async function yardWithWeather() {
  const yard = await setup();
  let ran = 0;
  const weather = defineTool({
    name: 'weather',
    version: '1.0.0',
    description: 'Weather',
    parameters: Type.Object({}),
    policy: {
      limits: [{ per: ['user'], rate: { limit: 2, periodMs: 60_000 } }],
      cache: { ttlMs: 60_000 },
      effects: 'none',
    },
    handler: () => (ran += 1),
  });
  await yard.worker([weather], listedForLong);
  const dispatcher = await yard.dispatcher();
  const call = async () => (await dispatcher.execute([toolCall('weather')], { principal })).outcomes[0]?.value;
  const run = (args: string[], settings: Record<string, string> = {}) =>
    callyard(args, { CALLYARD_PREFIX: yard.prefix, ...settings });
  return { call, run };
}

const limitsFile = async (text: string) => join(await folderWith({ 'limits.json': text }), 'limits.json');

describe('callyard limits', () => {
  it('tells what is left, in words and as JSON', async () => {
    const { call, run } = await yardWithWeather();
    await call();
    const table = await run(['limits', 'mia', '--owner', 'acme']);
    expect(table.stdout).toContain('0 running, 0 waiting');
    expect(table.stdout).toMatch(/weather@1\.0\.0 +now +0 +0 +1 left of 2 in 60 s per user/);
    const json = await run(['limits', 'mia', 'weather', '--owner', 'acme', '--json']);
    const { tools } = JSON.parse(json.stdout) as LimitsReport;
    expect(tools[0]?.limits).toMatchObject([{ rate: { limit: 2 }, remaining: 1 }]);
  });

  it('reads the limits of configuration for the roles it is given', async () => {
    const { run } = await yardWithWeather();
    const rules = { limits: [{ per: ['user'], concurrency: 7, for: { role: 'free' } }] };
    const settings = { CALLYARD_LIMITS_FILE: await limitsFile(JSON.stringify(rules)) };
    const free = await run(['limits', 'mia', '--owner', 'acme', '--role', 'free'], settings);
    expect(free.stdout).toContain('7 left of 7 at once per user');
    expect((await run(['limits', 'mia', '--owner', 'acme'], settings)).stdout).not.toContain('at once');
  });

  it.each([
    ['a user of nobody', ['limits', 'mia'], {}, 1, "required option '--owner <owner>'"],
    ['a tool nobody serves', ['limits', 'mia', 'wether', '--owner', 'acme'], {}, 2, 'did you mean weather?'],
    ['a user without an id', ['limits', '', '--owner', 'acme'], {}, 2, 'principal/userId'],
    [
      'a file that is not there',
      ['limits', 'mia', '--owner', 'acme'],
      { CALLYARD_LIMITS_FILE: '/no.json' },
      2,
      'the limits in /no.json cannot be used',
    ],
  ] as const)('says what is wrong with %s', async (_what, args, settings, code, message) => {
    const { run } = await yardWithWeather();
    const ran = await run([...args], settings);
    expect(ran).toMatchObject({ code, stderr: expect.stringContaining(message) as string });
    expect(ran.stderr).not.toContain('    at ');
  });

  it('refuses a file of limits that cannot be meant, by every place in it', async () => {
    const { run } = await yardWithWeather();
    const file = await limitsFile('{"limits": [{"per": ["team"], "concurrency": 0}]}');
    const { code, stderr } = await run(['limits', 'mia', '--owner', 'acme'], { CALLYARD_LIMITS_FILE: file });
    expect(code).toBe(2);
    expect(stderr).toContain('/limits/0/per/0');
    expect(stderr).toContain('/limits/0/concurrency: must be >= 1, got 0');
  });
});

describe('callyard cache clear', () => {
  it('forgets the kept results of a tool, and no others', async () => {
    const { call, run } = await yardWithWeather();
    expect([await call(), await call()]).toEqual([1, 1]);
    expect((await run(['cache', 'clear', 'other', '--json'])).stdout).toBe('{"cleared":0}\n');
    expect(await call()).toBe(1);
    expect((await run(['cache', 'clear', 'weather'])).stdout).toBe('1 kept results of weather forgotten\n');
    expect(await call()).toBe(2);
  });
});
