import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadTools } from '@callyard/worker';

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
