import { describe, expect, it } from 'vitest';
import { createProgram } from '../../packages/cli/src/program.ts';
import { callyard, listedForLong } from '../support/callyard-command.ts';
import { setup } from '../support/setup.ts';
import { climate } from '../support/weather.ts';

const ofAcme = ['--owner', 'acme'];

/** Each command that takes `--json`, and what it is given here; what it needs a key or an id for is not there. */
const given: Record<string, readonly string[]> = {
  'tools list': [],
  'cache clear': [],
  limits: ['mia', ...ofAcme],
  stats: [],
  workers: [],
  drain: ['nobody'],
  why: ['no-run.0.0'],
  'run submit': ['Hello?', ...ofAcme, '--user', 'mia', '--model', 'none'],
  'run show': ['no-run', ...ofAcme],
  'run cancel': ['no-run', ...ofAcme],
  'dead list': [],
  'dead show': ['no-run.0.0'],
  'dead retry': ['--all'],
  'dead drop': ['--all'],
};

/** In commands.test.ts, as it brings workers of its own. */
const elsewhere = ['replay'];

function takingJson(command: ReturnType<typeof createProgram>, path: readonly string[] = []): string[] {
  const own = command.options.some(({ long }) => long === '--json') ? [path.join(' ')] : [];
  return [...own, ...command.commands.flatMap((one) => takingJson(one, [...path, one.name()]))];
}

describe('a command with --json', () => {
  it('is one of those that are tried here', () => {
    const tried = [...Object.keys(given), ...elsewhere];
    expect(takingJson(createProgram()).toSorted()).toEqual(tried.toSorted());
  });

  it.each(Object.entries(given))('%s says nothing but JSON on standard output', async (name, args) => {
    const [empty, served] = [await setup(), await setup()];
    await served.worker([climate(() => 'mild')], listedForLong);
    const ran = await Promise.all(
      [empty, served].map(({ prefix }) =>
        callyard([...name.split(' '), ...args, '--json'], { CALLYARD_PREFIX: prefix, CALLYARD_LOG_LEVEL: 'trace' }),
      ),
    );
    for (const { code, stdout } of ran) {
      const lines = stdout.split('\n').slice(0, -1);
      expect(lines.length).toBeGreaterThanOrEqual(code === 2 || name === 'dead list' ? 0 : 1);
      for (const line of lines) expect(JSON.parse(line)).not.toHaveProperty('level');
    }
  });
});
