import { expect, it } from 'vitest';
import { nearest } from '@callyard/shared/nearest';

it.each([
  ['get_wether', 'get_weather'],
  ['GET_WEATHER', 'get_weather'],
  ['send_mial', 'send_mail'],
  ['dayz', 'days'],
  ['ib', 'id'],
  ['xyz', undefined],
  ['t', undefined],
  ['', undefined],
  ['g'.repeat(10_000), undefined],
])('the name nearest to %j is %j', (word, expected) => {
  expect(nearest(word, ['get_weather', 'send_mail', 'days', 'id', 'y'])).toBe(expected);
});

it('the nearer of two names is taken, the first of two that are as near', () => {
  expect(nearest('colour', ['colours', 'color', 'colour'])).toBe('colour');
  expect(nearest('lag', ['tag', 'bag'])).toBe('tag');
});

it('a name of a megabyte costs nothing', () => {
  const huge = 'x'.repeat(1_000_000);
  const before = process.threadCpuUsage();
  expect(
    nearest(
      'x'.repeat(128),
      Array.from({ length: 1_000 }, () => huge),
    ),
  ).toBeUndefined();
  expect(process.threadCpuUsage(before).user).toBeLessThan(1_000_000); // µs: waiting for a processor is no cost
});
