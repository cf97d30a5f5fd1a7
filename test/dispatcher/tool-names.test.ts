import fc from 'fast-check';
import { expect, it } from 'vitest';
import { toolNames } from '../../packages/dispatcher/src/models/tool-names.ts';

const legal = /^[a-zA-Z0-9_-]{1,64}$/;
const wireOf = (name: string) => toolNames([name]).toWire(name);

it('whatever tools are called, their names go over the wire in what providers take, and come back', () => {
  const anyName = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_./-]{0,127}$/);
  fc.assert(
    fc.property(fc.uniqueArray(anyName, { minLength: 1, maxLength: 20 }), (names) => {
      const map = toolNames(names);
      const wires = names.map(map.toWire);
      expect(wires.filter((wire) => !legal.test(wire))).toEqual([]);
      expect(new Set(wires).size).toBe(names.length);
      expect(wires.map(map.fromWire)).toEqual(names);
    }),
  );
});

it.each(['get_weather', 'a', 'x'.repeat(64), 'get-weather-2'])(
  'the name %s, which providers take, stays as it is',
  (name) => {
    expect(wireOf(name)).toBe(name);
  },
);

it.each(['crm.find', 'crm/find', 'x'.repeat(65), 'a.'.repeat(64)])('the name %s becomes a legal one', (name) => {
  expect(wireOf(name)).toMatch(legal);
  expect(toolNames([name]).fromWire(wireOf(name))).toBe(name);
});

it('names that differ in what is not legal, or past the 64th character, stay apart', () => {
  const long = 'x'.repeat(100);
  const names = ['crm.find', 'crm/find', 'crm_find', 'crm-find', `${long}a`, `${long}b`];
  expect(new Set(names.map(wireOf)).size).toBe(names.length);
});

it('a wire name shows what the tool is called', () => {
  expect(wireOf('crm.orders/find')).toMatch(/^crm_orders_find-[0-9a-f]{8}$/);
});

it('a name that was never sent comes back as it is', () => {
  expect(toolNames(['get_weather']).fromWire('invented')).toBe('invented');
});

it('a name has the same wire name whatever is offered beside it', () => {
  expect(wireOf('crm.find')).toBe(toolNames(['crm/find', 'crm.find']).toWire('crm.find'));
});

it('a name that looks like the wire name of another does not meet it', () => {
  const wire = wireOf('crm.find');
  const map = toolNames(['crm.find', wire]);
  expect(map.toWire(wire)).toMatch(legal);
  expect([map.fromWire(wire), map.fromWire(map.toWire(wire))]).toEqual(['crm.find', wire]);
});
