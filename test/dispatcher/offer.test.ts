import { describe, expect, it } from 'vitest';
import { defineTool, Type } from '@callyard/worker';
import { modelSaying, principal, proposes, says, setup, toolCall } from '../support/setup.ts';

const tool = (name: string, version: string) =>
  defineTool({
    name,
    version,
    description: name,
    category: 'sky',
    parameters: Type.Object({}),
    handler: () => version,
  });

/** Two versions of one tool and another tool, live. */
async function sky() {
  const yard = await setup();
  await yard.worker(
    ['1.2.0', '1.3.0', '2.0.0'].map((version) => tool('weather', version)).concat(tool('moon', '1.0.0')),
  );
  return yard.dispatcher();
}

const weather = [toolCall('weather')];
const both = [toolCall('weather'), toolCall('moon')];

describe('the version that runs', () => {
  it.each([
    ['the highest by default', {}, '2.0.0'],
    ['the highest in the range of a named tool', { tools: ['weather@~1.2'] }, '1.2.0'],
    ['the highest in the range given beside', { versions: { weather: '^1' } }, '1.3.0'],
    [
      'the same for a tool chosen by category',
      { tools: { categories: ['sky'] }, versions: { weather: '~1.2' } },
      '1.2.0',
    ],
    ['the same for a tool chosen by name', { tools: ['weather'], versions: { weather: '~1.2' } }, '1.2.0'],
    ['the same for a tool chosen by a predicate', { tools: () => true, versions: { weather: '~1.2' } }, '1.2.0'],
    ['that of the name where both say one', { tools: ['weather@^1'], versions: { weather: '~1.2' } }, '1.3.0'],
  ])('is %s', async (_what, options, expected) => {
    const dispatcher = await sky();
    const { outcomes } = await dispatcher.execute(weather, { principal, ...options });
    expect(outcomes[0]).toMatchObject({ status: 'completed', value: expected, tool: { version: expected } });
  });

  it('is given for one tool and leaves the others as they are', async () => {
    const dispatcher = await sky();
    const { outcomes } = await dispatcher.execute(both, { principal, versions: { weather: '1.2.0' } });
    expect(outcomes.map(({ value }) => value)).toEqual(['1.2.0', '1.0.0']);
  });

  it('is shown to the model of a run', async () => {
    const dispatcher = await sky();
    const model = modelSaying(proposes(...weather), says('done'));
    const { outcomes } = await dispatcher.run({ model, principal, versions: { weather: '^1' }, messages: [] });
    const shown = model.requests[0]?.tools.map(({ name, version }) => `${name}@${version}`);
    expect(shown?.toSorted()).toEqual(['moon@1.0.0', 'weather@1.3.0']);
    expect(outcomes[0]?.value).toBe('1.3.0');
  });
});

describe('a range that cannot be offered', () => {
  it.each([
    ['is no range', { tools: ['weather@newest'] }, 'weather@newest: "newest" is not a semver range such as ^1 or ~1.2'],
    ['is no range, given beside', { versions: { weather: '' } }, 'is not a semver range'],
    [
      'is served by nobody',
      { tools: ['weather@^3'] },
      'no live worker serves weather@^3; its highest live version is 2.0.0',
    ],
    ['is served by nobody, given beside', { versions: { weather: '^3' } }, 'no live worker serves weather@^3'],
    [
      'is that of a tool nobody serves',
      { versions: { wether: '^1' } },
      'no live worker serves wether@^1; did you mean weather?',
    ],
    ['is there twice', { tools: ['weather@^1', 'weather@^2'] }, 'weather is named twice'],
  ])('and %s is refused at once', async (_what, options, message) => {
    const dispatcher = await sky();
    await expect(dispatcher.execute(weather, { principal, ...options })).rejects.toThrow(message);
    const model = modelSaying(says('never asked'));
    await expect(dispatcher.run({ model, principal, messages: [], ...options })).rejects.toThrow(message);
  });
});
