import { describe, expect, it } from 'vitest';
import { scriptedModel, type RunView } from '@callyard/dispatcher';
import { callyard, listedForLong } from '../support/callyard-command.ts';
import { principal, proposes, says, setup, toolCall, type Callyard } from '../support/setup.ts';
import { act } from '../support/tools.ts';

const { owner } = principal;
const user = ['--owner', owner, '--user', principal.userId];

const run = (yard: Callyard, ...args: string[]) =>
  callyard(['run', ...args], { REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix });

/** Two calls, one of which fails, then an answer. */
const script = scriptedModel(
  ({ turn }) =>
    turn === 0
      ? proposes(toolCall('act', { mode: 'ok' }), toolCall('act', { mode: 'throw', text: 'not today' }))
      : says('One of two worked.'),
  { name: 'script' },
);

async function yardThatServes() {
  const yard = await setup();
  await yard.worker([act], listedForLong);
  const dispatcher = await yard.dispatcher({ model: script });
  return { yard, dispatcher };
}

describe('callyard run submit', () => {
  it('prints the id of a run, the same for the same key', async () => {
    const { yard, dispatcher } = await yardThatServes();
    const submit = (text: string) => run(yard, 'submit', text, ...user, '--model', 'script', '--key', 'k1');
    const { stdout } = await submit('go on');
    const runId = stdout.trim();
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'completed', userId: principal.userId });
    expect((await submit('go on')).stdout.trim()).toBe(runId);
    const other = await submit('something else');
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining('was used for another request') as string });
  });

  it('takes what the words say as one message, and waits for the answer where that is asked for', async () => {
    const { yard } = await yardThatServes();
    const options = ['--model', 'script', '--conversation', 'c1', '--tools', 'act', '--wait', '--json'];
    const { stdout, code } = await run(yard, 'submit', 'go', 'on', ...user, ...options);
    expect(code).toBe(0);
    const view = JSON.parse(stdout) as RunView;
    expect(view).toMatchObject({ state: 'completed', conversationId: 'c1', text: 'One of two worked.' });
    expect(view.messages[0]).toEqual({ role: 'user', content: 'go on' });
  });

  it('exits with 1 where it waited for a run that did not complete', async () => {
    const yard = await setup();
    await yard.dispatcher({ model: scriptedModel([], { name: 'speechless' }) });
    const { code, stdout } = await run(yard, 'submit', 'go', ...user, '--model', 'speechless', '--wait');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^state +failed \(model_error\)$/m);
    expect(stdout).toMatch(/^error +.*the script is over/m);
  });

  it('says what cannot be offered, and who cannot be', async () => {
    const { yard } = await yardThatServes();
    const offered = await run(yard, 'submit', 'go', ...user, '--tools', 'atc');
    expect(offered).toMatchObject({ code: 2, stderr: expect.stringContaining('no live worker serves atc') as string });
    const nobody = await run(yard, 'submit', 'go', '--owner', '', '--user', 'mia');
    expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('principal/owner') as string });
  });
});

describe('callyard run show', () => {
  it('is a page that tells where a run stands and what became of each call', async () => {
    const { yard, dispatcher } = await yardThatServes();
    const messages = [
      { role: 'user', content: 'before' },
      { role: 'assistant', content: null, tool_calls: [toolCall('old')] },
      { role: 'tool', tool_call_id: 'x', content: '{}' },
      { role: 'user', content: 'go' },
    ] as const;
    const { runId } = await dispatcher.submit({ messages: messages as never, principal, conversationId: 'c7' });
    await dispatcher.wait(runId, { owner });
    const { stdout, code } = await run(yard, 'show', runId, '--owner', owner);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^run +${runId}$`, 'm'));
    expect(stdout).toMatch(/^state +completed \(answer\)$/m);
    expect(stdout).toMatch(/^of +acme\/mia$/m);
    expect(stdout).toMatch(/^conversation +c7$/m);
    expect(stdout).toMatch(/^ended +after [\d.]+ m?s$/m);
    expect(stdout).toMatch(/^tokens +0 in, 0 out$/m);
    expect(stdout).toMatch(/^TURN +CALL +TOOL +OUTCOME +ATTEMPTS +TOOK +WAITS$/m);
    // Where a worker has just come, they wait for their share first.
    const took = String.raw`[\d.]+ m?s +(share [\d.]+ m?s, )?queue [\d.]+ m?s$`;
    expect(stdout).toMatch(new RegExp(String.raw`^0 +0 +act@1\.0\.0 +completed +1 +${took}`, 'm'));
    expect(stdout).toMatch(new RegExp(String.raw`^0 +1 +act@1\.0\.0 +failed: tool_error +1 +${took}`, 'm'));
    expect(stdout).not.toContain('old');
    expect(stdout.trimEnd()).toMatch(/\n\nOne of two worked\.$/);
    const asJson = JSON.parse((await run(yard, 'show', runId, '--owner', owner, '--json')).stdout) as RunView;
    expect(asJson).toMatchObject({
      runId,
      state: 'completed',
      outcomes: [{ status: 'completed' }, { status: 'failed' }],
    });
  });

  it('writes no command to the terminal, whatever the model calls a tool and says', async () => {
    const yard = await setup();
    const lines = [proposes(toolCall('no\u001B[2Jpe')), says('Done\u001B]0;ID\u0007\nfor today.')];
    const dispatcher = await yard.dispatcher({ model: scriptedModel(lines, { name: 'script' }) });
    const { runId } = await dispatcher.submit({ messages: [{ role: 'user', content: 'go' }], principal });
    await dispatcher.wait(runId, { owner });
    const { stdout } = await run(yard, 'show', runId, '--owner', owner);
    expect(stdout).toMatch(/^0 +0 +no\[2Jpe +refused: unknown_tool/m);
    expect(stdout.trimEnd()).toMatch(/\n\nDone\]0;ID\nfor today\.$/);
    expect(stdout).not.toMatch(/[^\P{Cc}\n]/u);
  });

  it('shows nothing of a run of another owner, nor of one that never was', async () => {
    const { yard, dispatcher } = await yardThatServes();
    const { runId } = await dispatcher.submit({ messages: [{ role: 'user', content: 'go' }], principal });
    for (const [command, id, whose] of [
      ['show', runId, 'globex'],
      ['show', 'nope', owner],
      ['cancel', runId, 'globex'],
    ] as const) {
      const { code, stdout, stderr } = await run(yard, command, id, '--owner', whose);
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toBe(`callyard: There is no run "${id}" of this owner.\n`);
    }
    await dispatcher.wait(runId, { owner });
  });
});

describe('callyard run cancel', () => {
  it('ends a run that is under way, and keeps who did it and why', async () => {
    const yard = await setup();
    await yard.worker([act], listedForLong);
    const model = scriptedModel(() => new Promise<never>(() => {}), { name: 'silent' });
    const dispatcher = await yard.dispatcher({ model });
    const { runId } = await dispatcher.submit({ messages: [{ role: 'user', content: 'go' }], principal });
    await expect.poll(async () => (await dispatcher.show(runId, { owner })).state).toBe('running');
    const said = ['--by', 'ops', '--why', 'it takes too long'];
    const cancelled = await run(yard, 'cancel', runId, '--owner', owner, ...said);
    expect(cancelled.stdout).toMatch(/^cancelled +\S+ by ops: it takes too long$/m);
    expect(await dispatcher.wait(runId, { owner })).toMatchObject({ state: 'cancelled', cancelled: { by: 'ops' } });
    const again = await run(yard, 'cancel', runId, '--owner', owner, '--json');
    expect(JSON.parse(again.stdout)).toMatchObject({ state: 'cancelled', cancelled: { by: 'ops' } });
  });
});
