import Type from 'typebox';
import { describe, expect, it } from 'vitest';
import { defineTool } from '@callyard/shared/tool';
import { createToolSet } from '@callyard/shared/tool-set';

const find = (version: string, parameters = Type.Object({ id: Type.Integer() })) =>
  defineTool({ name: 'find', version, description: 'Finds', parameters, handler: () => version });

describe('a set of tools', () => {
  const set = createToolSet(['1.0.0', '1.4.0', '1.5.0-rc.1', '2.0.0', '3.0.0-rc.1', '3.0.0-rc.2'].map((v) => find(v)));

  it.each([
    ['1.0.0', '^1.0.0', '1.0.0', 'the very version, though a higher one is in range'],
    ['2.0.0', '^1.0.0', '2.0.0', 'the very version, though it is out of range'],
    ['1.2.0', '^1.2.0', '1.4.0', 'the highest in range, and no prerelease while there is a release'],
    ['1.5.0-rc.0', '^1.5.0-rc.0', '1.5.0-rc.1', 'a prerelease for one who asks for prereleases'],
    ['3.0.0', '~3.0.0-0', '3.0.0-rc.2', 'the highest prerelease'],
    ['2.9.0', '>2.0.0 <4', '3.0.0-rc.2', 'a prerelease where there is nothing else in range'],
    ['4.0.0', '^4.0.0', undefined, 'nothing out of range'],
    ['4.0.0', 'no range', undefined, 'nothing for what is no range'],
  ])('resolves %s in %s to %s: %s', (version, range, expected, _why) => {
    expect(set.resolve({ name: 'find', version, range })?.manifest.version).toBe(expected);
    // The second time it is remembered.
    expect(set.resolve({ name: 'find', version, range })?.manifest.version).toBe(expected);
  });

  it('knows no tool by another name', () => {
    expect(set.resolve({ name: 'toString', version: '1.0.0', range: '*' })).toBeUndefined();
  });

  it('refuses a version that is there twice, and says when the schemas differ', () => {
    expect(() => createToolSet([find('1.2.0'), find('1.2.0')])).toThrow('tool find@1.2.0: it is there twice.');
    const other = find('1.2.0', Type.Object({ id: Type.Integer({ minimum: 1 }) }));
    expect(() => createToolSet([find('1.2.0'), other])).toThrow('tool find@1.2.0: it is there twice, with two schemas');
  });

  it('refuses an isolated tool that no child process could load', () => {
    const tool = find('1.0.0');
    const isolated = { ...tool, manifest: { ...tool.manifest, policy: { ...tool.manifest.policy, isolate: true } } };
    expect(() => createToolSet([isolated])).toThrow('module: import.meta.url');
    const loadable = { ...isolated, module: import.meta.url };
    expect(createToolSet([loadable]).resolve({ name: 'find', version: '1.0.0', range: '*' })).toBe(loadable);
  });
});
