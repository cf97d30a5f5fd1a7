import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { environmentWith } from '@callyard/shared/config';
import { callyard, listedForLong } from '../support/callyard-command.ts';
import { dispatcherProcess } from '../support/dispatcher-process.ts';
import { modelEndpoint, sinceAsked } from '../support/model-endpoint.ts';
import { principal, proposes, says, setup, signal, toolCall } from '../support/setup.ts';
import { folderWith } from '../support/temporary-folder.ts';
import { act } from '../support/tools.ts';
import { ended } from '../support/worker-process.ts';

const main = fileURLToPath(new URL('../../packages/cli/src/main.ts', import.meta.url));
const { owner } = principal;
const messages = [{ role: 'user', content: 'go' }] as const;
const never = new Promise<never>(() => {});

/** An adapter of one's own: nothing of ours is needed to write one. */
const parrot = `export const parrot = {
  name: 'parrot',
  provider: 'home-made',
  async ask({ messages }) {
    const message = { role: 'assistant', content: String(messages.at(-1).content).toUpperCase() };
    return { message, stop: 'answer', usage: { inputTokens: 1, outputTokens: 1 } };
  },
};
export const owl = { ...parrot, name: 'owl' };
`;

describe('callyard dispatcher', () => {
  it('drives durable runs with the model of its environment', async () => {
    const yard = await setup();
    await yard.worker([act], listedForLong);
    const seen = signal();
    const { settings } = await modelEndpoint(async (all) => {
      await seen.promise;
      return sinceAsked(all).length === 0
        ? proposes(toolCall('act', { mode: 'ok', text: 'hey' }))
        : says('It is done.');
    });
    const { id } = await dispatcherProcess(yard, settings);
    const client = await yard.dispatcher();
    const { runId } = await client.submit({ messages, principal, model: 'gpt-x', events: true });
    for await (const event of client.events(runId, { owner })) {
      if (event.type !== 'model.started' || event.turn > 0) continue;
      expect((await client.show(runId, { owner })).holder).toBe(id);
      seen.resolve();
    }
    const run = await client.show(runId, { owner });
    expect(run).toMatchObject({
      state: 'completed',
      text: 'It is done.',
      turns: 2,
      outcomes: [{ value: { text: 'hey' } }],
    });
  });

  it('hands its runs over when it is told to stop, long before they count as lost, and exits with 0', async () => {
    const yard = await setup();
    const { settings, bodies } = await modelEndpoint((_, nth) => (nth === 1 ? never : says('Here I am.')));
    const first = await dispatcherProcess(yard, { ...settings, CALLYARD_LOCK_MS: '60000' });
    const client = await yard.dispatcher();
    const { runId } = await client.submit({ messages, principal, model: 'gpt-x' });
    await expect.poll(() => bodies.length).toBe(1);
    await dispatcherProcess(yard, settings);
    first.process.kill('SIGTERM');
    const run = await client.wait(runId, { owner, signal: AbortSignal.timeout(10_000) });
    expect(run).toMatchObject({ state: 'completed', text: 'Here I am.', holds: 2 });
    expect(await ended(first)).toBe(0);
  });

  it('stops when the process that started it is gone', async () => {
    const yard = await setup();
    const { settings } = await modelEndpoint(() => says('Hello.'));
    const one = await dispatcherProcess(yard, settings);
    one.process.disconnect();
    expect(await ended(one)).toBe(0);
  });

  it('stops when the process that started it went while it was starting', async () => {
    const yard = await setup();
    const { settings } = await modelEndpoint(() => says('Hello.'));
    const env = environmentWith({ ...settings, REDIS_URL: yard.redisUrl, CALLYARD_PREFIX: yard.prefix });
    const child = fork(main, ['dispatcher'], { env: { ...env, CALLYARD_METRICS_PORT: '0' }, silent: true });
    onTestFinished(() => void child.kill('SIGKILL'));
    child.disconnect();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('asks the models of a module, by their names', async () => {
    const yard = await setup();
    const folder = await folderWith({ 'models.mjs': parrot });
    await dispatcherProcess(yard, {}, ['--model-module', join(folder, 'models.mjs')]);
    const client = await yard.dispatcher();
    for (const model of ['owl', 'parrot']) {
      const { runId } = await client.submit({ messages, principal, model });
      expect(await client.wait(runId, { owner })).toMatchObject({ state: 'completed', text: 'GO', model });
    }
  });

  it('says what it is missing', async () => {
    const folder = await folderWith({
      'none.mjs': 'export const answer = 42;',
      'torn.mjs': "throw new Error('no key');",
    });
    const noModel = { OPENAI_API_KEY: '' };
    const questions: [string[], Record<string, string>, string][] = [
      [[], noModel, 'or give --model-module PATH, a module that exports one'],
      [['--model-module', join(folder, 'none.mjs')], noModel, 'exports no model'],
      [['--model-module', join(folder, 'torn.mjs')], noModel, 'torn.mjs: no key'],
      [[], { CALLYARD_MAX_RUNS: '0' }, 'CALLYARD_MAX_RUNS is 0'],
    ];
    for (const [args, settings, text] of questions) {
      const { code, stderr } = await callyard(['dispatcher', ...args], settings);
      expect(stderr).toContain(text);
      expect(code).toBe(2);
    }
  });
});
