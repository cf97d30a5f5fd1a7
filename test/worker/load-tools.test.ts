import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadTools } from '@callyard/worker';
import { toolsIn } from '../../packages/worker/src/load-tools.ts';
import { alone } from '../fixtures/tools/isolated.ts';

const folder = fileURLToPath(new URL('../fixtures/tools', import.meta.url));

it('a folder of modules serves what it can and names the rest', async () => {
  const { tools, failures } = await loadTools([folder, `${folder}/nowhere`]);
  expect(tools.map(({ manifest }) => manifest.name)).toEqual(['alone']);
  expect(failures.map(({ module, reason }) => [module.split('/').at(-1), reason])).toEqual([
    ['broken.ts', 'no database today'],
    ['no-tool.ts', 'it exports no tool (see defineTool)'],
    ['nowhere', expect.stringContaining('ENOENT')],
  ]);
});

it('a tool knows the module it came from, so that a child process can load it', async () => {
  const { tools } = await loadTools([`${folder}/isolated.ts`]);
  expect(tools[0]?.module).toMatch(/isolated\.ts$/);
});

it('a tool exported under two names is one tool', () => {
  expect(toolsIn({ alone, same: alone, other: 42, nothing: null })).toEqual([alone]);
});

it('a folder without modules has no tools and no failures', async () => {
  const { tools, failures } = await loadTools([fileURLToPath(new URL('../fixtures/wire/v1', import.meta.url))]);
  expect([tools, failures]).toEqual([[], []]);
});
