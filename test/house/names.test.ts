import { describe, expect, it } from 'vitest';
import { codeFiles, expectKept, textFiles, type Check } from './source-files.ts';

const never =
  (pattern: RegExp): Check =>
  ({ text }) =>
    text.split('\n').filter((line) => pattern.test(line));

/** Keeps the breaches below from being one themselves. */
const joined = (...parts: string[]): string => parts.join('');

describe('names', () => {
  it('no file or folder is called utils, common or helpers', () => {
    const vague: Check = ({ path }) =>
      path.split(/[/.]/).filter((part) => /^(utils?|commons?|helpers?|misc)$/.test(part.toLowerCase()));
    expect(textFiles.length).toBeGreaterThan(100);
    expectKept(vague, textFiles, [
      ['packages/shared/src/utils.ts', ''],
      ['packages/worker/src/helpers/date.ts', ''],
      ['test/Common/a.ts', ''],
    ]);
  });

  it('nothing is a default export but the configuration vitest asks for', () => {
    const files = codeFiles.filter(({ path }) => path !== 'vitest.config.ts');
    expectKept(never(/^\s*export default\b|\bas default\b/), files, [
      ['a.ts', joined('export ', 'default function run() {}')],
      ['a.ts', joined('export { run as ', 'default };')],
    ]);
  });

  it('nothing is left to be done later', () => {
    expectKept(never(/\b(TO[D]O|FIXM[E]|XX[X]|HAC[K])\b/), textFiles, [
      ['a.ts', joined('// TO', 'DO: retry')],
      ['a.lua', joined('-- FIX', 'ME')],
    ]);
  });

  it('no test is singled out or switched off', () => {
    const tests = codeFiles.filter(({ path }) => path.startsWith('test/'));
    expectKept(never(/\b(it|test|describe|suite)(\.\w+)*\.(only|skip|todo)\b|\bx(it|describe)\(/), tests, [
      ['test/a.test.ts', joined('it', ".only('runs', () => {});")],
      ['test/a.test.ts', joined('describe.concurrent', ".skip('runs', () => {});")],
    ]);
  });

  it('no text names a place on the machine of its author', () => {
    expectKept(never(/(?<![\w.:/}*-])\/(work|root|home|Users|tmp)\/\w|\b[A-Z]:\\Users\\/), textFiles, [
      ['README.md', joined('See `/', 'home/mia/callyard`.')],
      ['a.ts', joined("const data = '/", "tmp/data.json';")],
    ]);
  });
});
