import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { readDecision } from '../../packages/cli/src/chat/approvals.ts';
import { payments } from '../support/approvals.ts';
import { listedForLong } from '../support/callyard-command.ts';
import { apiKey, done, endpoint, sendError, sendStream } from '../support/chat-endpoint.ts';
import { chatProcess } from '../support/chat-process.ts';
import { dispatcherProcess } from '../support/dispatcher-process.ts';
import { modelEndpoint, sinceAsked } from '../support/model-endpoint.ts';
import { redisProxy } from '../support/redis-proxy.ts';
import { proposes, says, setup, toolCall } from '../support/setup.ts';
import { act } from '../support/tools.ts';

const never = new Promise<never>(() => {});

/** Repeats what the user said before, so that a conversation shows. */
const remembering = () =>
  modelEndpoint((messages) => {
    const said = messages.filter(({ role }) => role === 'user').map(({ content }) => String(content));
    return says(`You said: ${said.join(', then ')}.`);
  });

/** Pays what it is told to, and says what came of it. */
const paying = () =>
  modelEndpoint((messages) => {
    const [, answer] = sinceAsked(messages);
    if (!answer) return proposes(toolCall('pay', { amount: Number(messages.at(-1)?.content) }));
    return says(String(answer.content).includes('paid') ? 'It is paid.' : `It is not paid: ${String(answer.content)}`);
  });

describe('callyard chat, from a pipe', () => {
  it('answers each line as a run of one conversation, and ends with the input', async () => {
    const yard = await setup();
    const { settings } = await remembering();
    const chat = chatProcess(yard, { settings, args: ['--conversation', 'c1'] });
    chat.type('one\ntwo\n\nthree');
    chat.end();
    expect(await chat.ended).toBe(0);
    expect(chat.shown()).toBe(
      [
        'Conversation c1, model gpt-x (asked from here)',
        '> one',
        'You said: one.',
        '> two',
        'You said: one, then two.',
        '> ',
        '> three',
        'You said: one, then two, then three.',
        '',
      ].join('\n'),
    );
  });

  it('goes on with a conversation that another chat began', async () => {
    const yard = await setup();
    const { settings } = await remembering();
    const first = chatProcess(yard, { settings });
    first.type('one\n/quit\nthis is not said\n');
    await first.ended;
    const [, id = ''] = /^Conversation (\S+),/.exec(first.shown()) ?? [];
    const second = chatProcess(yard, { settings, args: ['--conversation', id] });
    second.type('two\n');
    second.end();
    await second.ended;
    expect(second.shown()).toContain('You said: one, then two.');
    const stranger = chatProcess(yard, { settings, args: ['--conversation', id, '--owner', 'globex'] });
    stranger.type('three\n');
    stranger.end();
    await stranger.ended;
    expect(stranger.shown()).toContain('You said: three.');
  });

  it('shows the calls of a run as they end', async () => {
    const yard = await setup();
    await yard.worker([act], listedForLong);
    const { settings } = await modelEndpoint((messages) =>
      sinceAsked(messages).length === 0
        ? proposes(toolCall('act', { mode: 'ok' }), toolCall('act', { mode: 'throw' }))
        : says('One of two worked.'),
    );
    const chat = chatProcess(yard, { settings });
    chat.type('go\n');
    chat.end();
    expect(await chat.ended).toBe(0);
    expect(chat.shown()).toMatch(/^ {2}→ act #1 {"mode":"ok"}\n {2}→ act #2 {"mode":"throw"}$/m);
    expect(chat.shown()).toMatch(/^ {2}▸ act #1 runs \(\S+\)$/m);
    expect(chat.shown()).toMatch(/^ {2}✓ act #1 completed, \d+ ms$/m);
    expect(chat.shown()).toMatch(/^ {2}✗ act #2 failed: tool_error, \d+ ms$/m);
    expect(chat.shown()).toMatch(/\nOne of two worked\.\n$/);
  });

  it('says why a run failed, goes on with the next line, and exits with 1', async () => {
    const yard = await setup();
    const { bodies, baseURL } = await endpoint((response, nth) => {
      if (nth === 1) sendError(response, 400, {}, 'no such model');
      else sendStream(response, ...done);
    });
    const settings = { OPENAI_API_KEY: apiKey, OPENAI_BASE_URL: baseURL };
    const chat = chatProcess(yard, { settings });
    chat.type('go\nagain\n');
    chat.end();
    expect(await chat.ended).toBe(1);
    expect(chat.shown()).toMatch(/^The run is failed \(model_error\): .*no such model/m);
    expect(chat.shown()).toMatch(/> again\ndone\n$/);
    expect(bodies).toHaveLength(2);
  });

  it('says what a run cannot have', async () => {
    const yard = await setup();
    const { settings } = await remembering();
    const chat = chatProcess(yard, { settings, args: ['--tools', 'nothing'] });
    chat.type('go\n');
    chat.end();
    expect(await chat.ended).toBe(1);
    expect(chat.shown()).toContain('> go\ncallyard: no live worker serves nothing');
  });

  it('takes the answer to a question from the next line', async () => {
    const yard = await setup();
    const { pay, paid } = payments();
    await yard.worker([pay], listedForLong);
    const { settings } = await paying();
    const chat = chatProcess(yard, { settings });
    chat.type('5\nhm\ny, it is fine\n7\nno: too much\n');
    chat.end();
    expect(await chat.ended).toBe(0);
    expect(chat.shown()).toContain('  approve pay {"amount":5}? y or n, and why: hm\n');
    expect(chat.shown()).toContain('  approve pay {"amount":5}? y or n, and why: y, it is fine\n');
    expect(chat.shown()).toContain('  ! pay approved by me: it is fine\n');
    expect(chat.shown()).toContain('It is paid.');
    expect(chat.shown()).toMatch(/It is not paid: .*too much/);
    expect(paid).toEqual([5]);
  });

  it('denies what nobody is there to approve', async () => {
    const yard = await setup();
    const { pay, paid } = payments();
    await yard.worker([pay], listedForLong);
    const { settings } = await paying();
    const chat = chatProcess(yard, { settings });
    chat.type('5\n');
    chat.end();
    expect(await chat.ended).toBe(0);
    expect(chat.shown()).toMatch(/It is not paid: .*nobody was there to approve it/);
    expect(paid).toEqual([]);
  });

  it('says that nobody serves its runs where it has no model, and shows them once somebody does', async () => {
    const yard = await setup();
    const { settings } = await remembering();
    const chat = chatProcess(yard, { args: ['--model', 'gpt-x'] });
    chat.type('one\n');
    await chat.until('model gpt-x (asked by whoever serves it)');
    await chat.until('(not begun yet: another run of the conversation is under way, or no dispatcher serves it)');
    const other = chatProcess(yard, { settings });
    await chat.until('You said: one.');
    other.end();
    chat.end();
    expect(await chat.ended).toBe(0);
  });

  it('misses nothing when its way to Redis breaks in the middle of a run', async () => {
    const yard = await setup();
    const proxy = await redisProxy(yard.redisUrl);
    const gate = Promise.withResolvers<void>();
    const { settings, bodies } = await modelEndpoint(async () => {
      await gate.promise;
      return says('Still here.');
    });
    await dispatcherProcess(yard, settings);
    const chat = chatProcess(yard, { settings: { REDIS_URL: proxy.url }, args: ['--model', 'gpt-x'] });
    chat.type('one\n');
    await expect.poll(() => bodies.length, { timeout: 15_000 }).toBe(1);
    proxy.cutAfter(1);
    await expect.poll(() => proxy.hasCut()).toBe(true);
    gate.resolve();
    chat.end();
    expect(await chat.ended).toBe(0);
    expect(chat.shown()).toMatch(/> one\nStill here\.\n$/);
  });

  it('leaves a run to others when it is told to stop, and says where to look for it', async () => {
    const yard = await setup();
    const { settings, bodies } = await modelEndpoint(() => never);
    const chat = chatProcess(yard, { settings });
    chat.type('one\n');
    await expect.poll(() => bodies.length, { timeout: 15_000 }).toBe(1);
    chat.kill('SIGTERM');
    await chat.ended;
    expect(chat.shown()).toMatch(/The run goes on without you\. See: callyard run show \S+ --owner local\n$/);
  });
});

const hasScript = spawnSync('script', ['--version']).status === 0;

describe.skipIf(!hasScript)('callyard chat, on a terminal', () => {
  it('prompts, streams, keeps what is typed meanwhile for the next prompt, and leaves at Ctrl-C', async () => {
    const yard = await setup();
    const gate = Promise.withResolvers<void>();
    const { settings } = await modelEndpoint(async (messages) => {
      const said = String(messages.at(-1)?.content);
      if (said === 'one') await gate.promise;
      return says(`You said: ${said}.`);
    });
    const chat = chatProcess(yard, { settings, pty: true });
    await chat.until('/quit, or Ctrl-C at the prompt, leaves.');
    await chat.until('> ');
    chat.type('one\r');
    await chat.until(/one\r+\n/);
    chat.type('tw');
    gate.resolve();
    await chat.until('You said: one.\r\n');
    await chat.until('> ');
    await chat.until('tw');
    expect(chat.shown()).not.toContain('twYou');
    chat.type('o\r');
    await chat.until('You said: two.\r\n');
    chat.type('\u0003');
    await chat.until(/Go on with: callyard chat --conversation \S+/);
    expect(await chat.ended).toBe(0);
  });

  it('cancels the run under way at Ctrl-C, and goes on', async () => {
    const yard = await setup();
    const { settings, bodies } = await modelEndpoint((messages) =>
      messages.at(-1)?.content === 'hang' ? never : says('Here again.'),
    );
    const chat = chatProcess(yard, { settings, pty: true });
    await chat.until('> ');
    chat.type('hang\r');
    await expect.poll(() => bodies.length, { timeout: 15_000 }).toBe(1);
    chat.type('\u0003');
    await chat.until('(cancelling; Ctrl-C again leaves)');
    await chat.until('The run is cancelled');
    await chat.until('> ');
    chat.type('again\r');
    await chat.until('Here again.');
    chat.type('/quit\r');
    expect(await chat.ended).toBe(0);
  });

  it('does not take what was typed before a question for its answer', async () => {
    const yard = await setup();
    const { pay, paid } = payments();
    await yard.worker([pay], listedForLong);
    const { settings } = await paying();
    const chat = chatProcess(yard, { settings, pty: true });
    await chat.until('> ');
    chat.type('5\ryes\ry');
    await chat.until('approve pay {"amount":5}? y or n, and why: ');
    expect(paid).toEqual([]);
    chat.type('n, not mine\r');
    await chat.until(/It is not paid: .*not mine/);
    expect(paid).toEqual([]);
    chat.type('\u0004');
    expect(await chat.ended).toBe(0);
  });
});

describe('the answer to a question for approval', () => {
  it('is a clear yes or no, with a reason or without', () => {
    expect(readDecision('y')).toEqual({ approved: true, why: '' });
    expect(readDecision(' Yes, it is fine ')).toEqual({ approved: true, why: 'it is fine' });
    expect(readDecision('no: too much')).toEqual({ approved: false, why: 'too much' });
    expect(readDecision('N')).toEqual({ approved: false, why: '' });
    for (const unclear of ['', 'yesterday', 'nope', 'maybe', 'ok']) expect(readDecision(unclear)).toBeUndefined();
  });
});
