import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import { setup, type Callyard } from '../support/setup.ts';

/** What an example prints, run as a person would run it. */
async function printed(yard: Callyard, name: string): Promise<string[]> {
  const script = fileURLToPath(new URL(`../../examples/runs/${name}.ts`, import.meta.url));
  const env = environmentWith({ REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix });
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [script], { env });
  expect(stderr).toBe('');
  return stdout.trimEnd().split('\n');
}

it('a run is submitted by a key, followed and read; started again, it is the same run', async () => {
  const yard = await setup();
  const story = [
    'the model calls calculate',
    'calculate completed',
    'the run completed',
    '2 turns, 1 call: Together that is 478.5.',
  ];
  expect(await printed(yard, 'submit')).toEqual(['submitted', ...story]);
  expect(await printed(yard, 'submit')).toEqual(['this was submitted before', ...story]);
});

it('a conversation is remembered by its id, and one message waits for the other', async () => {
  const yard = await setup();
  expect(await printed(yard, 'conversation')).toEqual([
    'My name is Mia. Hello, Mia.',
    'What is my name? You are Mia.',
    'What is my name? You have not told me.',
  ]);
});

it('large transfers wait for a treasurer, who approves one and denies another', async () => {
  const yard = await setup();
  expect(await printed(yard, 'approval')).toEqual([
    'completed 20 EUR went to Ann',
    'completed 500 EUR went to Ben',
    'refused tom denied this call: Ask the board first.',
    'That is all.',
  ]);
});
