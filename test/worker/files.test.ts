import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as tick } from 'node:timers/promises';
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
  symlinkSync(join(base, 'none'), join(root, 'link-nowhere'));
  symlinkSync('/dev/zero', join(root, 'link-device'));
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
    ['a link that leads nowhere', 'link-nowhere'],
    ['a link to a device', 'link-device'],
    ['the root itself', ''],
    ['a name that is too long', 'x'.repeat(5_000)],
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

  it('are no devices', async () => {
    await expect(filesUnder('/dev').read('zero')).rejects.toThrow('zero is not a file');
  });

  it('are those of the root, also where a link leads to the root', async () => {
    const { files, base } = sample();
    symlinkSync(join(base, 'root'), join(base, 'root-link'));
    expect(await filesUnder(join(base, 'root-link')).read('docs/a.txt')).toBe('hello');
    expect(await files.list('./docs/..')).toContain('big.txt');
  });

  it('are refused for an absolute path that leads inside', async () => {
    const { files, base } = sample();
    await expect(files.read(join(base, 'root', 'docs', 'a.txt'))).rejects.toThrow('leads out');
  });

  it.runIf(process.platform === 'linux')('are capped by what is read, not by the size they claim', async () => {
    await expect(filesUnder('/proc/self', { maxBytes: 100 }).read('status')).rejects.toThrow('more than 100 bytes');
  });

  it.runIf(process.platform === 'linux')('stay those of the root while a folder is swapped for a link', async () => {
    const { files, base } = sample();
    const root = join(base, 'root');
    mkdirSync(join(base, 'out'));
    for (const name of ['a.txt', 'secret']) writeFileSync(join(base, 'out', name), 'secret');
    symlinkSync(join(base, 'out'), join(root, 'link'));
    const swapped = (async () => {
      for (let swaps = 0; swaps < 1_000; swaps++) {
        for (const [from, to] of [
          ['docs', 'kept'],
          ['link', 'docs'],
          ['docs', 'link'],
          ['kept', 'docs'],
        ] as const)
          await rename(join(root, from), join(root, to));
      }
      return true;
    })();
    const seen = new Set<string>();
    const quiet = (error: Error) => error.name;
    while (!(await Promise.race([swapped, tick(false)]))) {
      seen.add(await files.read('docs/a.txt').catch(quiet));
      seen.add((await files.list('docs').catch(quiet)).toString());
    }
    expect([...seen].filter((one) => one.includes('secret'))).toEqual([]);
    expect(seen).toContain('ToolError'); // it met the swap
  });

  it('are as many bytes as may be read, and not one more', async () => {
    const { base } = sample();
    const root = join(base, 'root');
    expect(await filesUnder(root, { maxBytes: 101 }).read('big.txt')).toHaveLength(101);
    await expect(filesUnder(root, { maxBytes: 100 }).read('big.txt')).rejects.toThrow(
      'big.txt has 101 bytes; at most 100',
    );
  });

  it('are missing when the root is, without telling where it should lie', async () => {
    const { base } = sample();
    const files = filesUnder(join(base, 'gone'));
    for (const ask of [() => files.read('a.txt'), () => files.list()]) {
      await expect(ask()).rejects.toMatchObject({
        name: 'ToolError',
        message: expect.not.stringContaining(base) as string,
      });
    }
  });

  it('are not listed where there is no folder', async () => {
    await expect(sample().files.list('docs/a.txt')).rejects.toThrow('docs/a.txt cannot be read');
  });

  it('lists nothing outside either', async () => {
    const { files } = sample();
    await expect(files.list('folder-out')).rejects.toThrow('leads out');
    await expect(files.list('..')).rejects.toThrow('leads out');
  });
});
