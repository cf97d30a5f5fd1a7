import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectKept, packageFiles, textFiles, type Check } from './source-files.ts';

const lines = (text: string): number => text.split('\n').length - (text.endsWith('\n') ? 1 : 0);

const atMost =
  (max: number): Check =>
  ({ text }) =>
    lines(text) > max ? [`${lines(text)} lines`] : [];

function median(numbers: number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0;
}

describe('sizes', () => {
  it('no file of code has more than 300 lines', () => {
    const code = textFiles.filter(({ path }) => /\.(ts|mjs|lua)$/.test(path));
    expectKept(atMost(300), code, [['a.ts', 'x\n'.repeat(301)]]);
    expect(atMost(300)({ path: 'a.ts', text: 'x\n'.repeat(300), imports: [] })).toEqual([]);
  });

  it('half of the files in the packages have at most 110 lines', () => {
    expect(median([5, 1, 200])).toBe(5);
    const sizes = packageFiles.map(({ text }) => lines(text));
    expect(sizes.length).toBeGreaterThan(60);
    expect(median(sizes)).toBeLessThanOrEqual(110);
  });

  // oxlint measures functions, as a scan of lines cannot; this keeps the rule from being loosened in silence.
  it('no function has more than 60 lines, which oxlint sees to', () => {
    const settings = readFileSync(new URL('../../.oxlintrc.jsonc', import.meta.url), 'utf8');
    expect(settings).toContain('"max-lines-per-function": ["error", { "max": 60,');
  });

  it('CONTRIBUTING.md has at most 130 lines', () => {
    const page = textFiles.filter(({ path }) => path === 'CONTRIBUTING.md');
    expectKept(atMost(130), page, [['CONTRIBUTING.md', 'x\n'.repeat(131)]]);
  });
});
