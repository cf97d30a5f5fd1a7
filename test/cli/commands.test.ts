import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LLMock } from '@copilotkit/aimock';
import { describe, expect, it, onTestFinished } from 'vitest';
import { callyard, listedForLong } from '../support/callyard-command.ts';
import { principal, setup, toolCall } from '../support/setup.ts';
import { folderWith } from '../support/temporary-folder.ts';
import { climate } from '../support/weather.ts';

const examples = fileURLToPath(new URL('../../examples/tools', import.meta.url));

describe('callyard', () => {
  it('names the flag it does not know and the nearest one', async () => {
    const { code, stderr } = await callyard(['replay', 'x.jsonl', '--wrokers', '3']);
    expect(code).toBe(1);
    expect(stderr).toContain("unknown option '--wrokers'");
    expect(stderr).toContain('--workers');
  });

  it('lists every wrong setting at once and shows no secret', async () => {
    const wrong = { CALLYARD_CONCURENCY: '3', CALLYARD_LOCK_MS: 'abc', REDIS_URL: 'redis://u:hunter2@127.0.0.1:1' };
    const { code, stderr } = await callyard(['worker', '--tools', examples], wrong);
    expect(code).toBe(2);
    expect(stderr).toContain('CALLYARD_CONCURENCY: unknown; did you mean CALLYARD_CONCURRENCY?');
    expect(stderr).toContain('CALLYARD_LOCK_MS: must be integer, got "abc"');
    expect(stderr).not.toContain('hunter2');
  });

  it.each([
    ['prices', 'CALLYARD_PRICES_FILE', ['why', 'x.0.0']],
    ['limits', 'CALLYARD_LIMITS_FILE', ['why', 'x.0.0']],
    ['audit records', 'CALLYARD_AUDIT_FILE', ['worker', '--tools', examples]],
    ['audit records', 'CALLYARD_AUDIT_FILE', ['cache', 'clear']],
  ])('says in a line that a file of %s cannot be used (%s)', async (_, setting, args) => {
    const file = '/nonexistent/folder/file.json';
    const { code, stdout, stderr } = await callyard(args, { [setting]: file, CALLYARD_METRICS_PORT: '0' });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^callyard: the [^\n]+\/nonexistent\/folder\/file.json[^\n]+ENOENT[^\n]+\n$/);
  });

  it('forgets no kept result where that cannot be audited', async () => {
    const yard = await setup();
    const mild = climate(() => 'mild', { policy: { effects: 'none', cache: { ttlMs: 60_000 } } });
    await yard.worker([mild], listedForLong);
    const dispatcher = await yard.dispatcher();
    await dispatcher.waitForTools(['climate']);
    await dispatcher.execute([toolCall('climate', { city: 'Oslo' })], { principal });
    const clear = (settings: Record<string, string> = {}) =>
      callyard(['cache', 'clear', '--json'], { CALLYARD_PREFIX: yard.prefix, ...settings });
    expect(await clear({ CALLYARD_AUDIT_FILE: '/nonexistent/audit.jsonl' })).toMatchObject({ code: 2 });
    expect(await clear()).toMatchObject({ code: 0, stdout: '{"cleared":1}\n' });
  });

  it('says where no Redis is, without its password', async () => {
    const { code, stderr } = await callyard(['worker', '--tools', examples], {
      REDIS_URL: 'redis://u:hunter2@127.0.0.1:1',
    });
    expect(code).toBe(2);
    expect(stderr).toContain('cannot reach Redis at redis://***@127.0.0.1:1');
    expect(stderr).not.toContain('hunter2');
  });

  it('lists the tools of a folder, and names the module that throws on load', async () => {
    const broken = await folderWith({ 'broken.ts': "throw new Error('no database today');" });
    const { code, stdout, stderr } = await callyard(['tools', 'list', '--tools', broken, examples, '--json']);
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as { name: string }[]).map(({ name }) => name)).toContain('calculate');
    expect(stderr).toMatch(/broken\.ts was left out: no database today/);
  });

  it('shows a tool as providers get it, and the nearest one to a name that is not there', async () => {
    const shown = await callyard(['tools', 'show', 'calculate', '--tools', examples]);
    expect(JSON.parse(shown.stdout)).toMatchObject({
      openai: { function: { name: 'calculate', strict: true } },
      anthropic: { name: 'calculate', input_schema: { type: 'object' } },
    });
    const missing = await callyard(['tools', 'show', 'calculat', '--tools', examples]);
    expect(missing).toMatchObject({ code: 2, stderr: expect.stringContaining('did you mean calculate?') as string });
  });

  it('replays what it can read of a torn file and names the lines it could not', async () => {
    const tool = {
      type: 'function',
      function: {
        name: 'echo',
        description: 'Echo',
        parameters: { type: 'object', properties: { n: { type: 'integer' } } },
      },
    };
    const good = (id: string) =>
      JSON.stringify({ id, messages: [], tools: [tool], tool_calls: [{ name: 'echo', arguments: { n: 1 } }] });
    const folder = await folderWith({ 'torn.jsonl': [good('a'), '{"id": "b", "mess', '[]', good('c')].join('\n') });
    const { code, stdout, stderr } = await callyard(['replay', join(folder, 'torn.jsonl'), '--workers', '1', '--json']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/torn\.jsonl:2: left out/);
    expect(stderr).toMatch(/torn\.jsonl:3: left out: no "id"/);
    expect(JSON.parse(stdout)).toMatchObject({ cases: 2, calls: 2, completed: 2, lost: 0 });
  });

  it('shows its demo on the pure-JavaScript Redis of machines that have no other', async () => {
    const { code, stdout } = await callyard(['demo', '--javascript-redis'], { REDIS_URL: '' });
    expect(code).toBe(0);
    expect(stdout).toContain('js-redis-server');
    expect(stdout).toContain('refused: permission_denied');
    expect(stdout).toContain('execute_tool check_stock');
    expect(stdout.match(/ completed$/gm)).toHaveLength(9);
  });

  it('asks a real endpoint in its demo when there is a key', async () => {
    const mock = new LLMock({ port: 0 });
    mock.on(
      { userMessage: /kettles/, hasToolResult: false },
      { toolCalls: [{ name: 'check_stock', arguments: '{"item":"Tea kettle"}' }] },
    );
    mock.on({}, { content: 'That is all I know.' });
    await mock.start();
    onTestFinished(() => mock.stop());
    const { code, stdout } = await callyard(['demo'], {
      OPENAI_API_KEY: 'test',
      OPENAI_BASE_URL: `${mock.url}/v1`,
      CALLYARD_MODEL: 'some-model',
    });
    expect(code).toBe(0);
    expect(stdout).toContain('Model: some-model');
    expect(stdout).toContain('model → check_stock {"item":"Tea kettle"}');
    expect(stdout).toContain('chat some-model');
  });
});
