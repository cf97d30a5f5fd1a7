import { join, dirname } from 'node:path/posix';
import { describe, expect, it } from 'vitest';
import { expectKept, textFiles, type Check } from './source-files.ts';

const scripts = textFiles.filter(({ path }) => path.endsWith('.lua'));
const isLibrary = (path: string): boolean => path.includes('/lib/');
const library = scripts.filter(({ path }) => isLibrary(path));

/** A file begins with a comment that ends at the first line with two closing brackets. */
function parts(text: string): { header: string; code: string } {
  const end = text.startsWith('--[[') ? text.indexOf(']]') : -1;
  if (end < 0) return { header: '', code: text };
  return { header: text.slice(4, end), code: text.slice(end + 2) };
}

/** Code without comments and strings. */
const bare = (text: string): string =>
  parts(text)
    .code.replace(/--.*$/gm, '')
    .replace(/'[^'\n]*'|"[^"\n]*"/g, "''");

/** Names that are read. */
const wordsIn = (text: string): Set<string> => new Set(bare(text).match(/(?<![.:\w])[a-zA-Z]\w*\b(?!\s*=[^=])/g) ?? []);

/** Names that a file declares for those that come after it. */
const defined = (text: string): string[] =>
  [...bare(text).matchAll(/^local (?:function )?([\w, ]+)/gm)].flatMap(([, names = '']) => names.trim().split(/,\s*/));

const fileName = (path: string): string => path.slice(path.lastIndexOf('/') + 1);
const definitions = new Map(library.map(({ path, text }) => [fileName(path), defined(text)]));

/** What the header names after `Needs`: the clock's file by what it tells. */
function needs(text: string): Set<string> {
  const [, told = ''] = /Needs ([^]*?)\.\s*$/.exec(parts(text).header) ?? [];
  const named = told.match(/\w+\.lua|(?<=`)\w+(?=`)/g) ?? [];
  return new Set(named.map((name) => (name === 'now' ? 'now.lua' : name)));
}

function uses(path: string, text: string): Set<string> {
  const words = wordsIn(text);
  const files = [...definitions].filter(
    ([name, names]) => name !== fileName(path) && names.some((one) => words.has(one)),
  );
  return new Set([...files.map(([name]) => name), ...(words.has('tag') ? ['tag'] : [])]);
}

const saysWhatItNeeds: Check = ({ path, text }) => {
  if (parts(text).header.trim() === '') return ['says nothing of itself'];
  const [told, used] = [needs(text), uses(path, text)];
  return [
    ...[...used].filter((name) => !told.has(name)).map((name) => `uses ${name} and does not say so`),
    ...[...told].filter((name) => !used.has(name)).map((name) => `says that it needs ${name}`),
  ];
};

const includesOf = (text: string): string[] => [...text.matchAll(/^-- @include (.+)$/gm)].map(([, file = '']) => file);

/** Lua sees only what stands before: a file comes after those it needs, and `tag` before all. */
const includesInOrder: Check = ({ path, text }) => {
  const given = new Set<string>(/^local tag = /m.test(text.split('-- @include')[0] ?? '') ? ['tag'] : []);
  return includesOf(text).flatMap((file) => {
    const found = scripts.find((one) => one.path === join(dirname(path), file));
    if (!found) return [`includes ${file}, which is not there`];
    const missing = [...needs(found.text)].filter((name) => !given.has(name));
    given.add(fileName(file));
    return missing.map((name) => `includes ${file} without ${name} before it`);
  });
};

/** Redis would refuse it, but only when that line is reached. */
const noGlobals: Check = ({ path, text }) => {
  const code = bare(text);
  const lists = [
    ...code.matchAll(/\blocal (?!function)([\w, ]+)/g),
    ...code.matchAll(/\bfor ([\w, ]+?) (?:=|in)/g),
    ...code.matchAll(/\bfunction ?[\w.]*\(([\w, ]*)\)/g),
  ];
  const declared = new Set([...lists.flatMap(([, names = '']) => names.trim().split(/,\s*/)), ...defined(text)]);
  for (const [name, names] of definitions) if (name !== fileName(path)) for (const one of names) declared.add(one);
  const assigned = [...code.matchAll(/^\s*([a-zA-Z]\w*(?:, [a-zA-Z]\w*)*) = (?!=|function)[^\n]*[^,\n]$/gm)];
  const written = assigned.flatMap(([, names = '']) => names.split(', '));
  const functions = [...code.matchAll(/^\s*function (\w+)/gm)].map(([, name = '']) => name);
  return [...written, ...functions].filter((name) => !declared.has(name)).map((name) => `${name} is global`);
};

describe('the library of the Lua scripts', () => {
  it('says in the header of each file what it needs of others, and nothing else', () => {
    expect(library.map(({ path }) => path)).toContain('packages/shared/src/admission/lib/lanes.lua');
    expectKept(saysWhatItNeeds, library, [
      ['lib/a.lua', 'local function a() return 1 end'],
      ['lib/a.lua', '--[[ Does it. ]]\nlocal function a() return tag end'],
      ['lib/a.lua', '--[[ Does it. Needs `tag`. ]]\nlocal function a() return poolOf(1), tag end'],
      ['lib/a.lua', '--[[ Does it. Needs `tag`, later.lua. ]]\nlocal function a() return tag end'],
    ]);
  });

  it('is included after what it needs', () => {
    expectKept(includesInOrder, scripts, [
      ['packages/shared/src/admission/a-1.lua', 'local tag = 1\n-- @include lib/nothing.lua\n'],
      ['packages/shared/src/admission/a-1.lua', '-- @include lib/later.lua\nlocal tag = 1\n'],
      [
        'packages/shared/src/admission/a-1.lua',
        'local tag = 1\n-- @include lib/bullmq.lua\n-- @include lib/later.lua\n',
      ],
    ]);
  });

  it('and the scripts make no globals', () => {
    expectKept(noGlobals, scripts, [
      ['a-1.lua', 'function a()\nend'],
      ['a-1.lua', 'local a = 1\nb = a\n'],
      ['a-1.lua', 'local function a(b)\n  c, b = b, 1\nend'],
    ]);
  });
});
