import { describe, expect, it } from 'vitest';
import { defineTool, ToolError, Type } from '@callyard/worker';
import { approvalYard, parked, payments, waitingFor } from '../support/approvals.ts';
import { callyard } from '../support/callyard-command.ts';
import { atOnce, brittle, endsOf, letDie } from '../support/dead.ts';
import { play, playedModel } from '../support/played-model.ts';
import { principal, proposes, says, setup, signal, toolCall, type Callyard } from '../support/setup.ts';
import { watchStarts } from '../support/starts.ts';
import { enqueued, gated, page } from '../support/why.ts';
import { workerProcesses } from '../support/worker-process.ts';

/** `why` as the command says it, in this installation. */
const command = (yard: Callyard, ...args: string[]) =>
  callyard(['why', ...args], { CALLYARD_PREFIX: yard.prefix, CALLYARD_TRACE_URL: 'http://jaeger/trace/{trace}' });

describe('why a call', () => {
  it('that ended took so long: its waits, attempts and errors, and its content only where that is asked for', async () => {
    const yard = await setup();
    const stumble = defineTool({
      name: 'stumble',
      version: '1.0.0',
      description: 'Fails at first',
      parameters: Type.Object({ city: Type.String(), password: Type.String() }),
      policy: { retry: { attempts: 2, minDelayMs: 1, maxDelayMs: 5 } },
      handler: ({ city }, { attempt }) => {
        if (attempt === 1) throw new ToolError('stumbled', { retry: 'backoff' });
        return { city, token: 'hunter3' };
      },
    });
    const worker = await yard.worker([stumble]);
    const dispatcher = await yard.dispatcher();
    const call = toolCall('stumble', { city: 'Oslo', password: 'hunter2' }, 'call_of_model');
    const { outcomes } = await dispatcher.execute([call], { principal });
    const key = outcomes[0]?.key ?? '';
    const text = await page(dispatcher, key);
    expect(text).toMatch(new RegExp(`^${key}: stumble@1\\.0\\.0`));
    expect(text).toContain('the model calls it call_of_model');
    expect(text).toMatch(/waited [\d.]+ m?s for a worker to take it/);
    expect(text).toMatch(/waited [\d.]+ m?s for its next attempt/);
    expect(text).toMatch(new RegExp(`attempt 1 failed \\S+ on ${worker.id}, tool_error: stumbled`));
    expect(text).toMatch(new RegExp(`attempt 2 ran on ${worker.id} for [\\d.]+ m?s`));
    expect(text).toMatch(
      /\ncompleted\ntook [\d.]+ m?s: [\d.]+ m?s waiting, [\d.]+ m?s running\nkept for \d+ min more$/,
    );
    expect(text).not.toMatch(/Oslo|hunter/);
    const content = await dispatcher.why(key, { content: true });
    expect(content).toMatchObject({ content: { result: { city: 'Oslo', token: '[redacted]' } } });
  });

  it('waits for a rate: its place in its lane, whose limit it is, and when it may start', async () => {
    const yard = await setup();
    const slow = gated({ limits: [{ per: ['user'], rate: { limit: 1, periodMs: 60_000 } }] });
    await yard.worker([slow.tool]);
    const dispatcher = await yard.dispatcher();
    const stop = new AbortController();
    const calls = [1, 2, 3].map((n) => toolCall('gated', { n, password: 'hunter2' }));
    const ended = dispatcher.execute(calls, { principal, class: 'batch', signal: stop.signal });
    await slow.begun;
    const keys = await enqueued(yard, 3);
    await expect.poll(() => page(dispatcher, keys[2] ?? '')).toContain('waits in its lane');
    const standing = await Promise.all(keys.map((key) => page(dispatcher, key)));
    const waiting = standing.filter((text) => text.includes('waits in its lane'));
    expect(waiting).toHaveLength(2);
    expect(waiting.join('\n')).toMatch(
      /place 1 of 2, waits for the rate of 1 in 60 s per user, due in \d+\.\d s[^]*place 2 of 2, the first waits for the rate/,
    );
    expect(waiting[0]).toContain(`, batch\nrun ${keys[1]?.split('.')[0]}, for acme/mia`);
    expect(waiting[0]).toMatch(new RegExp(`enqueued \\S+ by dispatcher ${dispatcher.id}\ndeadline `));
    expect(standing.join('\n')).not.toContain('hunter2');
    stop.abort();
    slow.open();
    await ended;
    expect(await page(dispatcher, keys[2] ?? '')).toContain('cancelled');
  });

  it('waits for a slot, and runs: on which worker, and whether that lives', async () => {
    const yard = await setup();
    const slow = gated();
    const worker = await yard.worker([slow.tool], { concurrency: 1, heartbeatMs: 5_000 });
    const dispatcher = await yard.dispatcher();
    const calls = [1, 2, 3].map(() => toolCall('gated', { password: 'hunter2' }));
    const ended = dispatcher.execute(calls, { principal });
    await slow.begun;
    const texts = await Promise.all((await enqueued(yard, 3)).map((key) => page(dispatcher, key)));
    expect(texts[0]).toMatch(new RegExp(`\nruns for [\\d.]+ m?s on ${worker.id}, which lives`));
    expect(texts.join('\n')).toMatch(/pool \w+: 1 worker with 1 slot\n/);
    expect(texts[2]).toMatch(
      /waits for a free slot|let go, waits for a worker to take it for [\d.]+ m?s, \d before it/,
    );
    slow.open();
    await ended;
  });

  it('waits for its next attempt, and until when', async () => {
    const yard = await setup();
    const failed = signal();
    const flaky = defineTool({
      name: 'flaky',
      version: '1.0.0',
      description: 'Asks for patience',
      parameters: Type.Object({}),
      policy: { retry: { attempts: 3, minDelayMs: 30_000, maxDelayMs: 30_000 } },
      handler() {
        failed.resolve();
        throw new ToolError('down, card 4111 1111 1111 1111', { retry: 'backoff' });
      },
    });
    await yard.worker([flaky]);
    const dispatcher = await yard.dispatcher();
    const stop = new AbortController();
    const ended = dispatcher.execute([toolCall('flaky')], { principal, signal: stop.signal });
    await failed.promise;
    const [key = ''] = await enqueued(yard, 1);
    await expect.poll(() => page(dispatcher, key)).toMatch(/waits for [\d.]+ m?s for its next attempt, due (in|now)/);
    expect(await page(dispatcher, key)).toContain('tool_error: down, card [redacted card]');
    stop.abort();
    await ended;
  });

  it('waits for a person: who may decide, until when, and then who did', async () => {
    const { pay } = payments({ policy: { approval: { requires: ['role:boss'], timeoutMs: 60_000 } } });
    const { yard, worker, dispatcher } = await approvalYard([pay]);
    const ended = dispatcher.execute([toolCall('pay', { amount: 7 })], { principal });
    const [waiting] = await waitingFor(dispatcher);
    const key = waiting?.key ?? '';
    await parked(yard, worker.pool, 1);
    expect(await page(dispatcher, key)).toMatch(
      /waits for [\d.]+ m?s for a person with role:boss to approve it, due in \d+\.\d s/,
    );
    const by = { owner: 'acme', userId: 'ben', roles: ['boss'] };
    await dispatcher.approvals.approve(key, { by, why: 'fine by me' });
    await ended;
    const text = await page(dispatcher, key);
    expect(text).toMatch(/approved by ben \S+: fine by me\n/);
    expect(text).toMatch(/waited [\d.]+ m?s for a person to approve it/);
  });

  it('whose worker was killed waits to be noticed, and tells afterwards that it was lost', async () => {
    const yard = await setup();
    const starts = await watchStarts(yard);
    const [first] = await workerProcesses(yard, 1);
    const dispatcher = await yard.dispatcher({ unservedMs: 30_000 });
    const ended = dispatcher.execute([toolCall('long_nap_first')], { principal, timeoutMs: 60_000 });
    await starts.reach(1);
    const [key = ''] = await enqueued(yard, 1);
    first?.process.kill('SIGKILL');
    await expect.poll(() => page(dispatcher, key), { timeout: 10_000 }).toMatch(/which is gone|which has lost it/);
    await expect.poll(() => page(dispatcher, key), { timeout: 10_000 }).toMatch(/: no worker serves it\n/);
    expect(await page(dispatcher, key)).toMatch(/which (is gone|has lost it); no worker serves its pool/);
    await workerProcesses(yard, 1);
    await ended;
    const text = await page(dispatcher, key);
    expect(text).toContain('lost 1 worker on its way');
    expect(text).toMatch(/waited [\d.]+ m?s for somebody to notice that its worker was gone/);
    starts.stop();
  });

  it('that is a dead letter was retried as what, and a retry of what', async () => {
    const yard = await setup();
    const { tool, mend } = brittle();
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const [dead] = await letDie(yard, dispatcher, 1, { args: { password: 'hunter2' } });
    const key = dead?.key ?? '';
    mend();
    expect(await endsOf(dispatcher.deadLetters.retry({ keys: [key] }, atOnce))).toEqual(['completed']);
    expect(await page(dispatcher, key)).toContain(`retried as ${key}~1: completed\n`);
    expect(await page(dispatcher, `${key}~1`)).toContain(`a retry of the dead letter ${key}\n`);
    await yard.redis.del(yard.names.outcome(key));
    const text = await page(dispatcher, key);
    expect(text).toMatch(/failed, tool_error: broken today\ntook [^]*kept for 14 days more/);
    const shown = await command(yard, key, '--content');
    expect(shown.stdout).toContain('arguments {"n":0,"password":"[redacted]"}');
    expect(shown.code).toBe(0);
  });
});

describe('what a model, a provider or a tool has written', () => {
  const obeyed = '\u001B]0;ID\u0007\u009B2J';
  const isPlain = /^[^\p{Cc}]+$/u;

  it('is no command to the terminal that shows why a call ended so', async () => {
    const yard = await setup();
    const tool = defineTool({
      name: 'says',
      version: '1.0.0',
      description: 'Says what a terminal would obey',
      parameters: Type.Object({}),
      handler: () => ({ said: obeyed }),
    });
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('says', {}, `call_${obeyed}`)], { principal });
    const lines = (await page(dispatcher, outcomes[0]?.key ?? '', true)).split('\n');
    expect(lines).toContain('the model calls it call_]0;ID2J');
    expect(lines.at(-1)).toMatch(/^result \{"said":"[^"]+2J"\}$/);
    for (const line of lines) expect(line).toMatch(isPlain);
  });

  it('is none to the one that shows the calls of a run', async () => {
    const yard = await setup();
    const dispatcher = await yard.dispatcher({ model: playedModel(yard.redis, yard.names) });
    const messages = play(proposes(toolCall(`no${obeyed}pe`)), says('Done.'));
    const { runId } = await dispatcher.submit({ messages, principal, conversationId: `c${obeyed}` });
    await dispatcher.wait(runId, { owner: 'acme' });
    const lines = (await page(dispatcher, runId)).split('\n');
    expect(lines.at(-1)).toMatch(/\.0\.0 {2}no\]0;ID2Jpe {2}refused: unknown_tool/);
    for (const line of lines) expect(line).toMatch(isPlain);
  });
});

describe('why a run', () => {
  it('is answered with its calls, and of each with where it is', async () => {
    const yard = await setup();
    const slow = gated();
    await yard.worker([slow.tool]);
    const dispatcher = await yard.dispatcher({ model: playedModel(yard.redis, yard.names) });
    const lines = [proposes(toolCall('gated'), toolCall('nope')), says('Done.')];
    const { runId } = await dispatcher.submit({ messages: play(...lines), principal, conversationId: 'c7' });
    await slow.begun;
    const open = await page(dispatcher, runId);
    expect(open).toMatch(new RegExp(`^run ${runId}: running, for acme/mia, conversation c7\n`));
    expect(open).toMatch(new RegExp(`${runId}\\.0\\.0 +gated +under way`));
    expect(await page(dispatcher, `${runId}.0.1`)).toContain(
      'proposed by the model, and not enqueued: no worker serves',
    );
    slow.open();
    await dispatcher.wait(runId, { owner: 'acme' });
    const ended = await page(dispatcher, runId);
    expect(ended).toMatch(/: completed \(answer\), for acme\/mia/);
    expect(ended).toMatch(/\.0\.0 +gated +completed +[\d.]+ m?s\n[^\n]+\.0\.1 +nope +refused: unknown_tool/);
    const call = await page(dispatcher, `${runId}.0.0`);
    expect(call).toMatch(/, interactive\nrun \S+ of conversation c7, for acme\/mia\n/);
  });
});

describe('callyard why', () => {
  it('prints one JSON line, or what the operator can do with a key that tells nothing', async () => {
    const yard = await setup();
    const { tool } = brittle({});
    await yard.worker([tool]);
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('brittle')], { principal });
    const key = outcomes[0]?.key ?? '';
    const shown = await command(yard, key, '--json');
    expect(JSON.parse(shown.stdout)).toMatchObject({ kind: 'call', key, end: { error: { code: 'tool_error' } } });
    const gone = await command(yard, 'nope.0.0');
    expect(gone.stdout).toContain('neither a job nor an outcome');
    expect(gone.stdout).toContain('outcomes for 60 min past the deadline of their call, dead letters for 14 days');
    expect(gone.code).toBe(1);
    const wrong = await command(yard, `${yard.names.tag}:outcome:${key}`);
    expect(wrong.stderr).toContain(`Did you mean ${key}?`);
    expect(wrong.code).toBe(2);
    const short = await command(yard, 'run-17.0');
    expect(short.stderr).toContain('Did you mean run-17.0.0?');
    const run = await command(yard, 'run-17');
    expect(run.stdout).toContain('no durable run is known by it');
  });
});
