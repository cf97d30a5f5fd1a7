import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toolNames } from '../../packages/dispatcher/src/models/tool-names.ts';

const name = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_./-]{0,127}$/);

it('names go over the wire in what providers take, and come back', () => {
  fc.assert(
    fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 20 }), (names) => {
      const map = toolNames(names);
      const wires = names.map(map.toWire);
      expect(wires.every((wire) => /^[a-zA-Z0-9_-]{1,64}$/.test(wire))).toBe(true);
      expect(new Set(wires).size).toBe(names.length);
      expect(wires.map(map.fromWire)).toEqual(names);
    }),
  );
});

it('a name that providers take stays as it is, one that was never sent comes back as it is', () => {
  const map = toolNames(['get_weather', 'crm.find']);
  expect(map.toWire('get_weather')).toBe('get_weather');
  expect(map.fromWire('invented')).toBe('invented');
});

it('a name has the same wire name whatever is offered beside it', () => {
  expect(toolNames(['crm.find']).toWire('crm.find')).toBe(toolNames(['crm/find', 'crm.find']).toWire('crm.find'));
});
