import { readdirSync, readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path/posix';
import { expect } from 'vitest';

export interface Import {
  /** a file of this repository by its path from the root, or a package as it was written */
  target: string;
  /** what is imported as a value: names as the exporting side calls them, `default`, or `*` */
  values: string[];
}

export interface SourceFile {
  path: string;
  text: string;
  imports: Import[];
}

/** What a rule has against a file; none when it is kept. */
export type Check = (file: SourceFile) => string[];

const root = new URL('../../', import.meta.url);
const folders = ['packages', 'test', 'bench', 'examples', 'scripts', 'deploy', 'docs', '.ci', '.'];

/*
 * oxfmt keeps every import statement at the start of a line, so no parser is needed. A clause holds only names, commas,
 * braces and stars: that tells `export … from` from other exports.
 */
const statement = /^(?:import|export)\s+(?:(type)\s+)?([\w$*{][\w$*{},\s]*?)\s*from\s*['"]([^'"]+)['"]/gm;
const bare = /^import\s*['"]([^'"]+)['"]|\b(?:import|require)\(\s*['"`]([^'"`]+)['"`]/gm;

/** Every text we wrote, by its path from the root. */
export const textFiles: readonly SourceFile[] = folders.flatMap(textsIn);

export const codeFiles = textFiles.filter(({ path }) => /\.(ts|mjs)$/.test(path));
export const packageFiles = codeFiles.filter(({ path }) => path.startsWith('packages/'));

function sourceFile(path: string, text: string): SourceFile {
  return { path, text, imports: importsOf(path, text) };
}

/** The files keep the rule, and the check is one that can fail: it finds something in each breach. */
export function expectKept(check: Check, files: readonly SourceFile[], breaches: [path: string, text: string][]): void {
  for (const [path, text] of breaches) expect(check(sourceFile(path, text)), `${path}: ${text}`).not.toEqual([]);
  expect(breaches.length).toBeGreaterThan(0);
  expect(files.length).toBeGreaterThan(0);
  expect(files.flatMap((file) => check(file).map((complaint) => `${file.path}: ${complaint}`))).toEqual([]);
}

function textsIn(folder: string): SourceFile[] {
  return pathsIn(folder)
    .filter((path) => ['.ts', '.mjs', '.lua', '.md', '.yml', '.jsonc', ''].includes(extname(path)))
    .map((path) => sourceFile(path, readFileSync(new URL(path, root), 'utf8')));
}

function pathsIn(folder: string): string[] {
  try {
    return readdirSync(new URL(folder, root), { recursive: folder !== '.', withFileTypes: true })
      .filter((entry) => entry.isFile() && !entry.name.startsWith('.env') && !entry.parentPath.includes('node_modules'))
      .map((entry) => join(entry.parentPath, entry.name).slice(root.pathname.length));
  } catch (error) {
    // `deploy` and `docs` need not be there.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

export function importsOf(path: string, text: string): Import[] {
  const named = [...text.matchAll(statement)].map(([, type, clause = '', specifier = '']) => ({
    target: targetOf(path, specifier),
    values: type === undefined ? valuesIn(clause) : [],
  }));
  const whole = [...text.matchAll(bare)].map(([, effect, dynamic]) => ({
    target: targetOf(path, effect ?? dynamic ?? ''),
    values: effect === undefined ? ['*'] : [],
  }));
  return [...named, ...whole];
}

function valuesIn(clause: string): string[] {
  const [outside = '', inside = ''] = clause.split('{');
  const braced = inside
    .replace('}', '')
    .split(',')
    .map((part) => part.trim());
  const first = outside.replaceAll(',', '').trim();
  return [
    ...(first === '' ? [] : [first.startsWith('*') ? '*' : 'default']),
    ...braced
      .filter((part) => part !== '' && !part.startsWith('type '))
      .map((part) => part.split(/\s+as\s+/)[0] ?? part),
  ];
}

function targetOf(path: string, specifier: string): string {
  if (specifier.startsWith('.')) return join(dirname(path), specifier);
  const [, name, file = 'index'] = /^@callyard\/(\w+)(?:\/(.+))?$/.exec(specifier) ?? [];
  return name === undefined ? specifier : `packages/${name}/src/${file}.ts`;
}
