import { describe, expect, it } from 'vitest';
import { configureTelemetry } from '@callyard/shared/telemetry';
import { hashOfUser } from '@callyard/shared/telemetry-span';
import { modelSaying, proposes, says, setup, toolCall } from '../support/setup.ts';
import { play } from '../support/played-model.ts';
import { expectTree, spansOf, traceThisFile, tracedYard } from '../support/traced-yard.ts';
import type { Callyard } from '../support/setup.ts';

traceThisFile();

/** Planted where content and secrets come in; none of them is a part of another. */
const canary = {
  password: 'canary-password-1f0c',
  words: 'canary words 2b7d',
  user: 'canary-user-3c5e',
  apiKey: 'canary-key-4d9a',
};
const principal = { owner: 'acme', userId: canary.user };
const leaky = (fails: boolean) => toolCall('leaky', { fails, words: canary.words, password: canary.password });

/** The keys in Redis whose values hold a text, without what tells calls and runs apart. */
async function keysWith({ redis, names }: Callyard, text: string): Promise<string[]> {
  const keys = await redis.keys(`${names.tag}:*`);
  const holding: string[] = [];
  for (const key of keys) {
    const dumped = JSON.stringify(await valueOf(redis, key));
    if (dumped.includes(text)) holding.push(key.slice(names.tag.length + 1).replaceAll(/[0-9a-f]{8}[0-9a-f-]*/g, '*'));
  }
  return [...new Set(holding)].toSorted();
}

async function valueOf(redis: Callyard['redis'], key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case 'string':
      return redis.get(key);
    case 'hash':
      return redis.hgetall(key);
    case 'list':
      return redis.lrange(key, 0, -1);
    case 'set':
      return redis.smembers(key);
    case 'zset':
      return redis.zrange(key, '0', '-1');
    default:
      return redis.xrange(key, '-', '+');
  }
}

async function leakyRun() {
  const settings = { OPENAI_API_KEY: canary.apiKey, CALLYARD_USER_HASH_SECRET: 's' };
  configureTelemetry({ userHashSecret: 's', captureContent: false, redact: (value) => value });
  const traced = await tracedYard({ settings });
  const { dispatcher, yard } = traced;
  const { runId } = await dispatcher.submit({
    messages: play(proposes(leaky(false), leaky(true)), says('Done.')),
    principal,
    model: 'played',
    conversationId: 'c1',
  });
  const run = await dispatcher.wait(runId, { owner: 'acme' });
  return { ...traced, yard, run, traceId: run.traceId ?? '' };
}

describe('content and secrets', () => {
  it('stand in no span, and secrets in no line and nowhere in Redis but in what the model itself wrote', async () => {
    const { run, traceId, receiver, logs, yard, stop } = await leakyRun();
    expect(run.outcomes.map(({ status, attempts }) => [status, attempts])).toEqual([
      ['completed', 1],
      ['failed', 2],
    ]);
    const spans = await expectTree({ stop }, traceId, [
      'submit run',
      '  invoke_agent callyard hold=1 submitted ended completed',
      '    chat played',
      '    send calls leaky ~ chat played',
      '      process calls leaky #1 completed',
      '        execute_tool leaky',
      '    send calls leaky ~ chat played',
      '      process calls leaky #1 retry !tool_error',
      '        execute_tool leaky !Error',
      '      process calls leaky #2 failed !tool_error wait:retry',
      '        execute_tool leaky !Error',
      '    gather calls 2 calls',
      '    chat played',
    ]);
    for (const secret of Object.values(canary)) expect(receiver.raw()).not.toContain(secret);
    expect(new Set(spans.map(({ attributes }) => attributes['user.hash']))).toEqual(new Set([hashOfUser(principal)]));
    const lines = logs();
    expect(lines).toContain('call.failed');
    for (const secret of [canary.password, canary.apiKey, canary.user]) expect(lines).not.toContain(secret);

    expect(await keysWith(yard, canary.apiKey)).toEqual([]);
    // By design: the arguments of a call in its job while that is kept, here a dead letter, and in the run's record and
    // conversation, which are what the model is shown again. Results and errors are redacted before they are written.
    expect(await keysWith(yard, canary.password)).toEqual(['calls-*:*.0.1', 'conversation:*:messages', 'run:*']);
    const [pool] = await yard.redis.zrange(yard.names.pools, '0', '-1');
    const { data, ...job } = await yard.redis.hgetall(yard.names.job(pool ?? '', `${run.runId}.0.1`));
    expect(data).toContain(canary.password);
    expect(job).toMatchObject({ progress: expect.stringContaining('[redacted]'), failedReason: expect.any(String) });
    expect(JSON.stringify(job)).not.toContain(canary.password);
    expect(JSON.stringify(run.outcomes)).not.toContain(canary.password);
  });
});

describe('what a model or a caller makes too long', () => {
  it('stands in no span and in no line: a tool that was not offered has no name there, an id is cut', async () => {
    const yard = await setup();
    const dispatcher = await yard.dispatcher();
    const call = toolCall(`${canary.password}${'x'.repeat(2_000_000)}`, {}, `call_${'y'.repeat(1_000_000)}`);
    const messages = [{ role: 'user', content: 'Go.' }] as const;
    const model = modelSaying(proposes(call), says('Sorry.'));
    const { traceId = '', outcomes } = await dispatcher.run({ messages, principal, model });
    expect(outcomes[0]).toMatchObject({ error: { code: 'unknown_tool' } });
    await expect.poll(() => spansOf(traceId).map(({ name }) => name)).toContain('invoke_agent callyard');
    const settled = spansOf(traceId).find(({ name }) => name === 'settle calls');
    expect(settled?.attributes).toMatchObject({
      'gen_ai.tool.name': '_OTHER',
      'gen_ai.tool.call.id': `call_${'y'.repeat(251)}`,
    });
    expect(JSON.stringify(spansOf(traceId)).length).toBeLessThan(10_000);
    expect(yard.logged.map(({ event }) => event)).toContain('call.refused');
    expect(Math.max(...yard.logged.map((line) => JSON.stringify(line).length))).toBeLessThan(5_000);
  });

  it('is refused where it is the id of a conversation', async () => {
    const dispatcher = await (await setup()).dispatcher();
    const messages = [{ role: 'user', content: 'Go.' }] as const;
    const asked = { messages, principal, conversationId: 'c'.repeat(257) };
    const refusal = 'conversationId has 257 characters; at most 256 are taken';
    await expect(dispatcher.run({ ...asked, model: modelSaying(says('No.')) })).rejects.toThrow(refusal);
    await expect(dispatcher.submit(asked)).rejects.toThrow(refusal);
    await expect(dispatcher.execute([toolCall('nap')], asked)).rejects.toThrow(refusal);
  });
});
