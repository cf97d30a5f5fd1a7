import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { describe, expect, it } from 'vitest';
import type { Model } from '@callyard/dispatcher';
import { auditFields, logEvents, logFields } from '@callyard/shared/log-names';
import type { ServingProcess } from '../../packages/cli/src/processes.ts';
import { waitingFor } from '../support/approvals.ts';
import { callyard } from '../support/callyard-command.ts';
import { defineTool, Type } from '@callyard/worker';
import { endpoint, sendError } from '../support/chat-endpoint.ts';
import { all, brittle } from '../support/dead.ts';
import { principal, proposes, says, setup, signal, toolCall } from '../support/setup.ts';
import { plainOutcome } from '../support/outcome.ts';
import { play, playedModel } from '../support/played-model.ts';
import { folderWith } from '../support/temporary-folder.ts';
import { spansOf, tracedYard, traceThisFile } from '../support/traced-yard.ts';
import { ended } from '../support/worker-process.ts';

traceThisFile();

type Line = Record<string, unknown>;

/** What a process prints from now on. */
function linesOf(processes: readonly ServingProcess[]): string[] {
  const lines: string[] = [];
  for (const { process: child } of processes) {
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => lines.push(line));
    }
  }
  return lines;
}

const parsed = (lines: readonly string[]): Line[] => lines.map((line) => JSON.parse(line) as Line);

/** Fields that tell of single events. */
const ofEvents = [
  'pid',
  'hostname',
  'audit',
  'decision',
  'owner',
  'user_id',
  'roles',
  'by',
  'why',
  'reason',
  'details',
];
const figures = ['attempts', 'lost', 'duration_ms', 'delay_ms', 'ms', 'calls', 'slots', 'tools', 'models', 'hold'];
const vocabulary = new Set([
  ...Object.keys(logFields),
  ...ofEvents,
  ...figures,
  'began',
  'state',
  'stop',
  'decided_at',
]);

/** Words of arguments, results and errors of tools, and secrets beside them. */
const canaries = ['canary-words', 'hunter2', 'canary-reason'];

describe('the lines of several processes', () => {
  it('are JSON in one vocabulary, belong to the traces of their runs, and hold no content', async () => {
    const folder = await folderWith({});
    const file = `${folder}/audit.jsonl`;
    const settings = { CALLYARD_LOG_LEVEL: 'debug', CALLYARD_USER_HASH_SECRET: 'salt', CALLYARD_AUDIT_FILE: file };
    const { yard, dispatcher, submit, serving, driving } = await tracedYard({ settings });
    const [byDispatcher, byWorker] = [linesOf(driving), linesOf(serving)];
    const secret = { words: 'canary-words', password: 'hunter2' };
    const { runId, traceId } = await submit(
      proposes(
        toolCall('leaky', { fails: false, ...secret }),
        toolCall('leaky', { fails: true, ...secret }),
        toolCall('leaky', { fails: 'canary-words' }),
        toolCall('guarded'),
      ),
      says('Done.'),
    );
    const [waiting] = await waitingFor(dispatcher);
    const by = { owner: 'acme', userId: 'ben' };
    await dispatcher.approvals.approve(waiting?.key ?? '', { by, why: 'canary-reason' });
    await dispatcher.wait(runId, principal);
    for (const one of [...serving, ...driving]) one.process.kill('SIGTERM');
    await Promise.all([...serving, ...driving].map(ended));
    // Each process has an order; what two of them print comes as it comes.
    const printed = () => [...byDispatcher, ...byWorker];
    await expect.poll(() => printed().filter((line) => /"(worker|dispatcher)\.stopped"/.test(line))).toHaveLength(2);

    const lines = parsed(printed());
    const ofCalls = (index: number) =>
      lines.filter(({ job_id }) => job_id === `${runId}.0.${index}`).map(({ event }) => event);
    expect(lines.flatMap((line) => Object.keys(line).filter((name) => !vocabulary.has(name)))).toEqual([]);
    expect(lines.filter(({ event }) => !Object.hasOwn(logEvents, String(event)))).toEqual([]);
    expect(ofCalls(0)).toEqual(['call.enqueued', 'call.started', 'call.completed']);
    const retried = ['call.enqueued', 'call.started', 'call.retry', 'call.waiting', 'call.started', 'call.failed'];
    expect(ofCalls(1)).toEqual(retried);
    expect(ofCalls(2)).toEqual(['call.enqueued', 'call.refused']);
    const approved = ['call.enqueued', 'approval.asked', 'call.allowed', 'call.started', 'call.completed'];
    expect(ofCalls(3).filter((event) => event !== 'call.waiting')).toEqual(approved);
    const ofRun = lines.filter(({ run_id }) => run_id === runId);
    expect(ofRun.filter((line) => line.trace_id !== traceId)).toEqual([]);
    const users = new Set(ofRun.map(({ user_hash }) => user_hash).filter(Boolean));
    expect(users.size).toBe(1);
    const spanIds = ofRun.flatMap(({ span_id }) => span_id ?? []);
    expect(spanIds.length).toBeGreaterThan(8);
    const known = () => spansOf(traceId).map(({ spanId }) => spanId);
    await expect.poll(known).toEqual(expect.arrayContaining(spanIds));
    expect(canaries.filter((word) => printed().join('\n').includes(word))).toEqual([]);
    expect(printed().join('\n')).not.toMatch(/"mia"|"acme"/);
    expect(yard.logged.filter((line) => line.event === undefined)).toEqual([]);

    const text = await readFile(file, 'utf8');
    const records = parsed(text.trim().split('\n'));
    expect(records).toMatchObject([
      { event: 'call.refused', decision: 'refused', code: 'invalid_arguments', tool: 'leaky', job_id: `${runId}.0.2` },
      { event: 'call.allowed', decision: 'allowed', tool: 'guarded', job_id: `${runId}.0.3`, attempt: 1 },
    ]);
    const who = { audit: true, owner: 'acme', user_id: 'mia', roles: [], run_id: runId, trace_id: traceId };
    for (const record of records) expect(record).toMatchObject({ ...who, worker: serving[0]?.id });
    const fields = new Set([...Object.keys(auditFields), 'name', 'pid', 'hostname', 'msg', 'details']);
    expect(records.flatMap((record) => Object.keys(record).filter((name) => !fields.has(name)))).toEqual([]);
    expect(canaries.filter((word) => text.includes(word))).toEqual([]);
    expect(yard.logged.find(({ event }) => event === 'approval.approved')).toMatchObject({
      audit: true,
      user_id: 'ben',
      why: 'canary-reason',
      job_id: waiting?.key,
    });
  });

  it('carry what a call was given and gave only where that is asked for, without secrets', async () => {
    const settings = { CALLYARD_LOG_LEVEL: 'debug', CALLYARD_LOG_CONTENT: 'true' };
    const { dispatcher, serving } = await tracedYard({ dispatchers: 0, settings });
    const printed = linesOf(serving);
    const secret = { words: 'canary-words', password: 'hunter2' };
    const calls = [true, false].map((fails) => toolCall('leaky', { fails, ...secret }));
    await dispatcher.execute(calls, { principal });
    const ends = () => parsed(printed).filter(({ event }) => event === 'call.completed' || event === 'call.failed');
    await expect.poll(ends).toHaveLength(2);
    const [completed, failed] = ends().toSorted((a, b) => String(a.event).localeCompare(String(b.event)));
    expect(completed).toMatchObject({
      arguments: '{"fails":false,"words":"canary-words","password":"[redacted]"}',
      result: '{"words":"canary-words","password":"[redacted]"}',
    });
    expect(failed?.msg).toContain('canary-words');
    expect(printed.join('\n')).not.toContain('hunter2');
  });

  it('say that a model failed and with which status, and repeat what it said only where that is asked for', async () => {
    const { model } = await endpoint((response) => {
      sendError(response, 422, {}, `{"input":"canary-words","password":"hunter2"}`);
    });
    const yard = await setup();
    const told = async (logContent: boolean) => {
      const dispatcher = await yard.dispatcher({ logContent, model: model() });
      const asked = { messages: [{ role: 'user', content: 'go' }], principal } as const;
      const { runId } = await dispatcher.submit(asked);
      const runs = [await dispatcher.run(asked), await dispatcher.wait(runId, principal)];
      for (const run of runs) expect(run).toMatchObject({ stop: 'model_error', error: /canary-words/ });
      await dispatcher.close();
      const ends = yard.logged.splice(0).filter(({ event }) => event === 'run.ended');
      expect(ends).toMatchObject([{ stop: 'model_error' }, { stop: 'model_error' }]);
      return ends.map(({ reason }) => reason);
    };
    const status = 'the model answered with status 422';
    expect(await told(false)).toEqual([status, status]);
    const said = 'gpt-x: 422 {"input":"canary-words","password":"[redacted]"}';
    expect(await told(true)).toEqual([said, said]);
  });

  it('of a model that throws what no model should say what kind of error it is, and where, but not its words', async () => {
    const yard = await setup();
    let asks = 0;
    const model: Model = {
      name: 'rude',
      provider: 'home-made',
      async ask() {
        asks += 1;
        if (asks === 1) throw new RangeError('canary-words\n    at canary-words', { cause: new Error('hunter2') });
        return { message: says('Done.'), stop: 'answer', usage: { inputTokens: 1, outputTokens: 1 } };
      },
    };
    const dispatcher = await yard.dispatcher({ model });
    const { runId } = await dispatcher.submit({ messages: [{ role: 'user', content: 'go' }], principal });
    expect(await dispatcher.wait(runId, principal)).toMatchObject({ state: 'completed' });
    const err = { message: 'the model threw a RangeError', stack: expect.stringContaining('logs.test.ts') as unknown };
    expect(yard.logged).toContainEqual(
      expect.objectContaining({ event: 'run.fault', err: expect.objectContaining(err) as unknown }),
    );
    expect(JSON.stringify(yard.logged)).not.toMatch(/canary-words|hunter2/);
  });

  it('quote no argument that a fallback refuses', async () => {
    const yard = await setup();
    const about = { version: '1.0.0', description: 'One of two', parameters: Type.Object({ city: Type.String() }) };
    const other = defineTool({
      ...about,
      name: 'other',
      parameters: Type.Object({ city: Type.Literal('Oslo') }),
      handler: () => 1,
    });
    const first = defineTool({
      ...about,
      name: 'first',
      policy: { retry: { attempts: 1 } },
      fallback: { tool: 'other' },
      handler: () => Promise.reject(new Error('away')),
    });
    await yard.worker([first, other]);
    const dispatcher = await yard.dispatcher();
    await dispatcher.execute([toolCall('first', { city: 'canary-words' })], { principal });
    const line = { event: 'fallback.failed', code: 'invalid_arguments' };
    expect(yard.logged).toContainEqual(expect.objectContaining(line));
    expect(JSON.stringify(yard.logged)).not.toContain('canary-words');
  });

  it('leave the records of what operators did in the file, as their commands log nothing', async () => {
    const folder = await folderWith({});
    const file = `${folder}/audit.jsonl`;
    const yard = await setup();
    await yard.worker([brittle().tool], { heartbeatMs: 5_000 });
    const dispatcher = await yard.dispatcher({ model: playedModel(yard.redis, yard.names) });
    const { outcomes } = await dispatcher.execute([toolCall('brittle'), toolCall('brittle')], { principal });
    const [first, second] = outcomes.map(({ key }) => key);
    const messages = play({ ...says('Never.'), hangs: 1 });
    const { runId } = await dispatcher.submit({ messages, principal, model: 'played' });
    const command = (...args: string[]) =>
      callyard(args, { CALLYARD_PREFIX: yard.prefix, CALLYARD_AUDIT_FILE: file, CALLYARD_LOG_LEVEL: 'silent' });
    await expect.poll(() => all(dispatcher.deadLetters.list())).toHaveLength(2);
    await command('dead', 'retry', first ?? '', '--no-wait');
    await command('dead', 'drop', second ?? '');
    await command('cache', 'clear', 'brittle');
    await command('run', 'cancel', runId, '--owner', 'acme', '--by', 'ops', '--why', 'too slow');
    const records = parsed((await readFile(file, 'utf8')).trim().split('\n'));
    expect(records).toMatchObject([
      { event: 'dead.retried', job_id: first, as: `${first}~1`, owner: 'acme', user_id: 'mia' },
      { event: 'dead.dropped', job_id: second, code: 'tool_error' },
      { event: 'cache.cleared', tool: 'brittle', cleared: 0 },
      { event: 'run.cancelled', run_id: runId, owner: 'acme', by: 'ops', why: 'too slow' },
    ]);
    expect(records.filter(({ by }) => typeof by !== 'string')).toEqual([]);
  });

  it('tell of an outcome once, by whoever wrote it', async () => {
    const { yard, dispatcher } = await tracedYard({ dispatchers: 0 });
    const gate = signal();
    const begun = signal();
    const one = defineTool({
      name: 'one',
      version: '1.0.0',
      description: 'Holds the only slot of its worker',
      parameters: Type.Object({ n: Type.Optional(Type.Integer()) }),
      async handler() {
        begun.resolve();
        await gate.promise;
      },
    });
    await yard.worker([one], { concurrency: 1 });
    await dispatcher.waitForTools(['one']);
    const over = dispatcher.execute([toolCall('one'), toolCall('one', { n: 'wrong' })], { principal });
    await begun.promise;
    const enqueued = () =>
      yard.logged.filter(({ event }) => event === 'call.enqueued').map(({ job_id }) => String(job_id));
    await expect.poll(enqueued).toHaveLength(2);
    const [, second = ''] = enqueued().toSorted();
    const standing = plainOutcome(second, { value: 'somebody else was first' });
    await yard.redis.set(yard.names.outcome(second), JSON.stringify(standing), 'PX', 60_000);
    gate.resolve();
    await over;
    const told = () => yard.logged.filter(({ job_id }) => job_id === second).map(({ event }) => event);
    await expect.poll(told).toContain('call.adopted');
    expect(told()).not.toContain('call.refused');
  });
});
