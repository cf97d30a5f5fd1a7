import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { filesUnder } from '../../packages/worker/src/toolkit/files.ts';

function sample() {
  const base = mkdtempSync(join(tmpdir(), 'callyard-test-'));
  onTestFinished(() => rmSync(base, { recursive: true }));
  const root = join(base, 'root');
  mkdirSync(join(root, 'docs'), { recursive: true });
  mkdirSync(join(base, 'root-evil'));
  writeFileSync(join(base, 'secret.txt'), 'secret');
  writeFileSync(join(base, 'root-evil', 'secret.txt'), 'secret');
  writeFileSync(join(root, 'docs', 'a.txt'), 'hello');
  writeFileSync(join(root, 'big.txt'), 'x'.repeat(101));
  symlinkSync(join(base, 'secret.txt'), join(root, 'link-out'));
  symlinkSync(base, join(root, 'folder-out'));
  symlinkSync('docs/a.txt', join(root, 'link-inside'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
  return { files: filesUnder(root, { maxBytes: 100 }), base };
}

describe('files under a root', () => {
  it('are read and listed, through links that stay inside too', async () => {
    const { files } = sample();
    expect(await files.read('docs/a.txt')).toBe('hello');
    expect(await files.read('link-inside')).toBe('hello');
    expect(await files.read('docs/../docs/./a.txt')).toBe('hello');
    expect(await files.list('docs')).toEqual(['a.txt']);
    expect(await files.list()).toContain('docs/');
  });

  it.each([
    ['..', '../secret.txt'],
    ['many ..', 'docs/../../../../../../etc/passwd'],
    ['an absolute path', '/etc/passwd'],
    ['a sibling that begins like the root', '../root-evil/secret.txt'],
    ['a link that leads out', 'link-out'],
    ['a folder that leads out', 'folder-out/secret.txt'],
    ['NUL', 'docs/a.txt\0.png'],
    ['a folder', 'docs'],
    ['a pipe', 'pipe'],
    ['a file that is too large', 'big.txt'],
    ['a file that is not there', 'docs/none.txt'],
  ])('are refused for %s, without telling where the root lies', async (_what, path) => {
    const { files, base } = sample();
    const read = files.read(path);
    await expect(read).rejects.toMatchObject({ name: 'ToolError' });
    await expect(read).rejects.not.toThrow(base);
  });

  it('lists nothing outside either', async () => {
    const { files } = sample();
    await expect(files.list('folder-out')).rejects.toThrow('leads out');
    await expect(files.list('..')).rejects.toThrow('leads out');
  });
});
