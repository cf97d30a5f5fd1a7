import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { prettyLines } from '../../packages/cli/src/pretty-log.ts';
import { setup, signal, type Callyard } from '../support/setup.ts';

const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const tools = fileURLToPath(new URL('../support/process-tools.ts', import.meta.url));

/** The first lines that `callyard worker` prints, on a terminal (of colours, whatever these tests run in) or into a pipe. */
async function firstLines(yard: Callyard, isTerminal: boolean, settings: Record<string, string> = {}): Promise<string> {
  const own = { REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix, CALLYARD_METRICS_PORT: '0', ...settings };
  const command = [process.execPath, main, 'worker', '--tools', tools];
  const [file = '', ...args] = isTerminal ? ['script', '-qec', command.join(' '), '/dev/null'] : command;
  const env = environmentWith({ FORCE_COLOR: '1', ...own });
  const said = signal<string>();
  let text = '';
  const child = execFile(file, args, { env }, () => said.resolve(text));
  onTestFinished(() => void child.kill('SIGTERM'));
  child.stdout?.on('data', (part: string) => {
    text += part;
    if (/worker\.started.*\r?\n/.test(text)) said.resolve(text);
  });
  return said.promise;
}

describe('the log of a process', () => {
  it('is for people on a terminal, and JSON anywhere else', async () => {
    const yard = await setup();
    const [terminal, pipe] = await Promise.all([firstLines(yard, true), firstLines(yard, false)]);
    expect(terminal).toMatch(/\d\d:\d\d:\d\d\.\d{3}.*INFO .*worker\.started.* serving .*worker=[\w-]+.*slots=50/);
    expect(terminal).toContain('\u001B[');
    expect(
      pipe
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toMatchObject([{ event: 'worker.started' }]);
  });

  it('has no colours on a terminal that wants none', async () => {
    const terminal = await firstLines(await setup(), true, { FORCE_COLOR: '0' });
    expect(terminal).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}worker\.started serving worker=/m);
    expect(terminal).not.toContain('\u001B[');
  });

  it('is what CALLYARD_LOG_FORMAT says, wherever it goes', async () => {
    const yard = await setup();
    const json = firstLines(yard, true, { CALLYARD_LOG_FORMAT: 'json' });
    const pretty = firstLines(yard, false, { CALLYARD_LOG_FORMAT: 'pretty' });
    expect(await json).toMatch(/^\{"level":"info".*"event":"worker\.started".*\}\r?$/m);
    expect(await pretty).toMatch(/^\d\d:\d\d:\d\d\.\d{3} INFO {2}worker\.started serving worker=/);
    expect(await pretty).not.toContain('\u001B[');
  });
});

describe('lines for people', () => {
  const written: string[] = [];
  const log = createLogger({ name: 'test', destination: prettyLines((text) => void written.push(text), false) });

  it('show an error below with its stack, and write no command to the terminal', () => {
    const fields = { event: 'call.failed', tool: 'a\u0007b', 'n\u001B[2J\nm': 1 };
    log.error({ ...fields, err: new TypeError('no\u001B[2J') }, 'broken\nline');
    const [first, second, third] = (written.at(-1) ?? '').split('\n');
    expect(first).toMatch(/ERROR call\.failed broken line tool=ab n\[2J m=1$/);
    expect(second).toBe('    TypeError: no[2J');
    expect(third).toMatch(/^ {4} +at /);
  });

  it('hold what was logged beside, objects as JSON', () => {
    log.warn({ event: 'pool.gone', tools: ['a', 'b'], ms: 3 }, 'gone');
    expect(written.at(-1)).toMatch(/WARN {2}pool\.gone gone tools=\["a","b"\] ms=3\n$/);
  });
});
