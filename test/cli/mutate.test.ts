import { expect, it } from 'vitest';
import { damagedCases } from '../../packages/cli/src/replay/mutate.ts';
import { toolCall } from '../support/setup.ts';

it('a call of a closed schema can be damaged in every way, its sibling left alone', () => {
  const parameters = {
    type: 'object',
    properties: { city: { type: 'string' } },
    required: ['city'],
    additionalProperties: false,
  };
  const calls = [toolCall('weather', { city: 'Oslo' }, 'a'), toolCall('other', {}, 'b')];
  const tools = [{ name: 'weather', parameters }];
  const damaged = damagedCases({ kind: 'calls', id: 'c', messages: [], tools, calls });
  expect(damaged.map(({ kind, expected }) => [kind, expected])).toEqual([
    ['required argument dropped', 'invalid_arguments'],
    ['wrong type', 'invalid_arguments'],
    ['truncated JSON', 'malformed_arguments'],
    ['unknown tool name', 'unknown_tool'],
    ['unknown key in a closed schema', 'invalid_arguments'],
  ]);
  expect(damaged.map(({ damaged: one }) => one.calls[0]?.function)).toEqual([
    { name: 'weather', arguments: '{}' },
    { name: 'weather', arguments: '{"city":{"not":"of this type"}}' },
    { name: 'weather', arguments: '{"city":"Oslo"' },
    { name: 'weather_x', arguments: '{"city":"Oslo"}' },
    { name: 'weather', arguments: '{"city":"Oslo","no_such_argument":1}' },
  ]);
  expect(damaged.every(({ damaged: one }) => one.calls[1] === calls[1])).toBe(true);
});
