import { describe, expect, it } from 'vitest';
import { expectKept, textFiles, type Check } from './source-files.ts';

const scripts = textFiles.filter(({ path }) => path.endsWith('.lua'));

/** `unpack(ARGV, 3)` and a loop from 3 take `3…`; `unpack(ARGV, 2 * i - 1, 2 * i)` takes each in between. */
function spelledOut(code: string): string {
  return code
    .replace(/for i = (\d+), #ARGV\b[^]*?\n *end\b/g, (loop, first) =>
      loop.replace(/ARGV\[i(?: \+ 1)?\]|unpack\(ARGV, i, i \+ \d\)/g, `ARGV[${first}…]`),
    )
    .replace(/unpack\(ARGV, (\d+)\)/g, 'ARGV[$1…]')
    .replace(/unpack\(ARGV, (\d+) \* i - (\d+), \1 \* i \+ (\d+)\)/g, (_, times, before, after) =>
      Array.from({ length: Number(before) + Number(after) + 1 }, (_entry, nth) => {
        const offset = nth - Number(before);
        return `ARGV[${times}i${offset > 0 ? '+' : ''}${offset === 0 ? '' : offset}]`;
      }).join(' '),
    );
}

/** The header is the comment a script begins with. Indexes are compared as `2i-1`, however they are written. */
function uses(text: string) {
  const [header = '', ...rest] = text.split(']]\n');
  const indexes = (part: string, table: string) =>
    new Set(
      [...part.matchAll(new RegExp(`\\b${table}\\[(.+?)\\]`, 'g'))].map(([, index = '']) =>
        index.replace(/[\s*]/g, ''),
      ),
    );
  const code = spelledOut(rest.join(']]\n'));
  return { code, of: (table: string) => ({ documented: indexes(header, table), used: indexes(code, table) }) };
}

/** `open-3.lua` has KEYS[1] to KEYS[3]; `settle-2n.lua` has KEYS[2i-1] and KEYS[2i] for each i of `#KEYS / 2`. */
function keysInName(path: string): { count: number; each: boolean; indexes: Set<string> } {
  const [, digits, each] = /-(\d+)(n?)\.lua$/.exec(path) ?? [];
  const count = Number(digits ?? 0);
  const indexes = Array.from({ length: count }, (_, position) => {
    const before = count - 1 - position;
    if (!each) return String(position + 1);
    return `${count === 1 ? '' : count}i${before === 0 ? '' : -before}`;
  });
  return { count, each: each === 'n', indexes: new Set(indexes) };
}

const differing = (a: Set<string>, b: Set<string>): string[] =>
  [...a, ...b].filter((one) => !a.has(one) || !b.has(one));

const numberOfKeys: Check = ({ path, text }) => {
  const { count, each, indexes } = keysInName(path);
  const { code, of } = uses(text);
  const { used } = of('KEYS');
  const complaints = differing(used, indexes).length > 0 ? [`uses KEYS ${[...used].join(', ')}`] : [];
  if (each && count > 1 && !code.includes(`#KEYS / ${count}`))
    complaints.push(`does not take its keys in groups of ${count}`);
  return complaints;
};

const documented: Check = ({ text }) =>
  ['KEYS', 'ARGV'].flatMap((table) => {
    const { documented: told, used } = uses(text).of(table);
    return differing(told, used).map((index) => `${table}[${index}] is documented or used, not both`);
  });

describe('Lua scripts', () => {
  it('have the number of their keys in their name', () => {
    expect(scripts.map(({ path }) => path)).toContain('packages/shared/src/settle-2n.lua');
    expectKept(numberOfKeys, scripts, [
      ['open-2.lua', '--[[\n]]\nredis.call("GET", KEYS[1])'],
      ['open-1.lua', '--[[\n]]\nredis.call("GET", KEYS[1], KEYS[2])'],
      ['open.lua', '--[[\n]]\nredis.call("GET", KEYS[1])'],
      ['open-2n.lua', '--[[\n]]\nfor i = 1, #KEYS do redis.call("GET", KEYS[2 * i - 1], KEYS[2 * i]) end'],
      ['open-2n.lua', '--[[\n]]\nfor i = 1, #KEYS / 2 do redis.call("GET", KEYS[2 * i]) end'],
    ]);
  });

  it('say in their header what every key and argument is, and nothing that is not used', () => {
    expectKept(documented, scripts, [
      ['open-1.lua', '--[[\n  KEYS[1] outcome\n]]\nredis.call("GET", KEYS[1], ARGV[1])'],
      ['open-1.lua', '--[[\n  KEYS[1] outcome\n  ARGV[1] ttl\n]]\nredis.call("GET", KEYS[1])'],
      ['open-1.lua', 'redis.call("GET", KEYS[1])'],
      ['open-2n.lua', '--[[\n  KEYS[2i] lock\n]]\nredis.call("GET", KEYS[2 * i - 1])'],
      ['open-1.lua', '--[[\n  ARGV[2…] texts\n]]\nredis.call("DEL", unpack(ARGV, 3))'],
      ['open-1.lua', '--[[\n  ARGV[2…] texts\n]]\nfor i = 3, #ARGV do\n  call(ARGV[i])\nend'],
      ['open-1.lua', '--[[\n  ARGV[2i] text\n]]\ncall(unpack(ARGV, 2 * i - 1, 2 * i + 1))'],
    ]);
  });
});
