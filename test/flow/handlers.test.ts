import { describe, expect, it } from 'vitest';
import { defineTool, ToolError, Type } from '@callyard/worker';
import { waitedFor } from '../support/outcome.ts';
import { principal, setup, signal, toolCall } from '../support/setup.ts';
import { act } from '../support/tools.ts';

describe('what a handler may do', () => {
  it.each([
    ['bigint', { status: 'failed', error: { code: 'tool_error' } }, 'BigInt'],
    ['circular', { status: 'failed', error: { code: 'tool_error' } }, 'circular'],
    ['undefined', { status: 'completed', value: null }, ''],
    ['huge', { status: 'failed', error: { code: 'result_too_large' } }, '262144'],
    ['hang', { status: 'failed', error: { code: 'timeout' }, attempts: 2 }, '300 ms'],
    ['fail', { status: 'failed', error: { code: 'tool_error' }, attempts: 2 }, 'attempt 2'],
    ['throw', { status: 'failed', error: { code: 'tool_error' }, attempts: 1 }, 'told to throw'],
    [
      'secret',
      { status: 'completed', value: { user: 'mia', password: '[redacted]', nested: { api_key: '[redacted]' } } },
      '',
    ],
  ])('ends in one outcome when it does %s', async (mode, expected, said) => {
    const yard = await setup();
    await yard.worker([act], { maxStuck: 100 });
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('act', { mode })], { principal });
    expect(outcomes[0]).toMatchObject(expected);
    expect(outcomes[0]?.error?.message ?? '').toContain(said);
  });

  it('waits as long as a service asked, without spending an attempt', async () => {
    const yard = await setup();
    const attempts: number[] = [];
    const patient = defineTool({
      name: 'patient',
      version: '1.0.0',
      description: 'Asks for patience twice',
      parameters: Type.Object({}),
      policy: { retry: { attempts: 1 } },
      handler(_args, { attempt }) {
        attempts.push(attempt);
        if (attempts.length < 3) throw new ToolError('not yet', { retry: { afterMs: 20 } });
        return 'now';
      },
    });
    await yard.worker([patient]);
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('patient')], { principal });
    expect(outcomes[0]).toMatchObject({ status: 'completed', value: 'now', attempts: 1 });
    expect(waitedFor(outcomes[0])).toEqual(['retry_after', 'retry_after']);
    expect(attempts).toEqual([1, 1, 1]);
  });

  it('frees the slot of a handler that ignores its abort, and replaces a worker with too many of them', async () => {
    const yard = await setup();
    const worker = await yard.worker([act], { concurrency: 1, maxStuck: 2 });
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('act', { mode: 'hang' })], { principal });
    expect(outcomes[0]?.error?.code).toBe('timeout');
    expect(await worker.stopped).toBe('stuck');
    expect(yard.logged.filter(({ event }) => event === 'tool.stuck')).toHaveLength(2);
  });

  it('ignores what a handler returns after its abort', async () => {
    const yard = await setup();
    const late = signal<string>();
    const aborted = signal();
    const slowpoke = defineTool({
      name: 'slowpoke',
      version: '1.0.0',
      description: 'Comes back too late',
      parameters: Type.Object({}),
      policy: { timeoutMs: 30, retry: { attempts: 1 } },
      handler(_args, ctx) {
        ctx.signal.addEventListener('abort', () => aborted.resolve());
        return late.promise;
      },
    });
    await yard.worker([slowpoke]);
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('slowpoke')], { principal, key: 'late' });
    await aborted.promise;
    late.resolve('too late');
    expect(outcomes[0]?.error?.code).toBe('timeout');
    const again = await dispatcher.execute([toolCall('slowpoke')], { principal, key: 'late' });
    expect(again.outcomes).toEqual(outcomes);
  });

  it('never starts an at-most-once call twice', async () => {
    const yard = await setup();
    let starts = 0;
    const charge = defineTool({
      name: 'charge',
      version: '1.0.0',
      description: 'Charges a card',
      parameters: Type.Object({}),
      policy: { effects: 'at-most-once' },
      handler() {
        starts += 1;
        throw new ToolError('connection lost', { retry: 'backoff' });
      },
    });
    await yard.worker([charge]);
    const dispatcher = await yard.dispatcher();
    const { outcomes } = await dispatcher.execute([toolCall('charge')], { principal });
    expect(outcomes[0]).toMatchObject({ status: 'failed', error: { code: 'tool_error' } });
    expect(starts).toBe(1);
  });

  it('takes arguments of 5 MB, nested 10,000 deep, or with a __proto__ key for what they are', async () => {
    const yard = await setup();
    await yard.worker([act]);
    const dispatcher = await yard.dispatcher();
    const deep = `{"mode":"ok","text":${'['.repeat(10_000)}${']'.repeat(10_000)}}`;
    const calls = [
      toolCall('act', { mode: 'ok', text: 'x'.repeat(5 * 2 ** 20) }),
      toolCall('act', deep),
      toolCall('act', '{"mode":"ok","__proto__":{"polluted":true}}'),
    ];
    const { outcomes } = await dispatcher.execute(calls, { principal });
    expect(outcomes.every(({ status }) => status === 'refused')).toBe(true);
    expect(outcomes.map(({ error }) => error?.code)).toEqual([
      'malformed_arguments',
      expect.stringMatching(/_arguments$/),
      'invalid_arguments',
    ]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});
