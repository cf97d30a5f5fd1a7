import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { configureTelemetry, inAgentSpan, inProcessSpan, inToolSpan, type PickUpEnd } from '@callyard/shared/telemetry';
import {
  canary,
  envelope,
  exporter,
  finished,
  keepSpans,
  off,
  only,
  pickUp,
  principal,
  run,
  usage,
  wholeRun,
} from '../support/spans.ts';

beforeAll(keepSpans);
beforeEach(() => {
  exporter.reset();
  configureTelemetry(off);
});

describe('a span', () => {
  const error = { code: 'tool_error', message: 'no such order' };
  it.each<[PickUpEnd, string]>([
    [{ outcome: 'failed', error }, 'ERROR'],
    [{ outcome: 'retry', error }, 'ERROR'],
    [{ outcome: 'refused', error: { code: 'invalid_arguments', message: '/ms: expected integer' } }, 'UNSET'],
    [{ outcome: 'cancelled', error: { code: 'cancelled', message: 'over' } }, 'UNSET'],
    [{ outcome: 'hand-back' }, 'UNSET'],
    [{ outcome: 'abandoned' }, 'UNSET'],
  ])('a pick-up that ends as $outcome is %s', async (end, status) => {
    await inProcessSpan(pickUp({ ended: [] }), async (describePickUp) => describePickUp(end));
    const span = only();
    expect(span.status).toBe(status);
    expect(span.attributes).toMatchObject({ 'callyard.outcome': end.outcome });
    expect(span.attributes['error.type']).toBe(end.error?.code);
    const exception = ['exception', { 'exception.type': error.code }];
    expect(span.events).toEqual(status === 'ERROR' ? [exception] : []);
  });

  it.each([
    ['completed', 'answer', 'UNSET'],
    ['cancelled', 'cancelled', 'UNSET'],
    ['failed', 'max_turns', 'ERROR'],
    ['expired', 'deadline_exceeded', 'ERROR'],
  ])('a run that ends as %s by %s is %s', async (state, stop, status) => {
    await inAgentSpan(run, async (describeRun) => describeRun({ state, stop, usage }));
    expect(only().status).toBe(status);
    expect(only().attributes['error.type']).toBe(status === 'ERROR' ? stop : undefined);
  });

  const unreadable = Object.defineProperty(new Error('x'), 'message', {
    get() {
      throw new Error('not to be read');
    },
  });
  it.each<[what: string, thrown: unknown, type: string, message: string]>([
    ['an error whose code is a sentence', Object.assign(new Error('no'), { code: 'mia is unknown' }), 'Error', 'no'],
    ['an error with a code', Object.assign(new Error('gone'), { code: 'ECONNRESET' }), 'ECONNRESET', 'gone'],
    ['an error with an HTTP status', Object.assign(new Error('slow down'), { status: 429 }), '429', 'slow down'],
    ['an error of a class', new TypeError('not a function'), 'TypeError', 'not a function'],
    ['a text', 'boo', '_OTHER', 'boo'],
    ['undefined', undefined, '_OTHER', 'undefined'],
    ['null', null, '_OTHER', 'null'],
    ['an object without a prototype', Object.create(null), '_OTHER', 'thrown, and cannot be read'],
    ['an error that cannot be read', unreadable, '_OTHER', 'thrown, and cannot be read'],
  ])('a handler that throws %s rejects with just that', async (_what, thrown, type, message) => {
    configureTelemetry({ ...off, captureContent: true });
    const caught = await inToolSpan({ envelope, tool: 'nap', args: {} }, async () => {
      throw thrown;
    }).then(
      () => 'nothing was thrown',
      (reason: unknown) => reason,
    );
    expect(caught).toBe(thrown);
    expect(only()).toMatchObject({ status: 'ERROR', attributes: { 'error.type': type } });
    expect(only().events).toEqual([['exception', { 'exception.type': type, 'exception.message': message }]]);
  });

  it('the text of an error is content, captured redacted and cut', async () => {
    await inToolSpan({ envelope, tool: 'nap', args: {} }, () => Promise.reject(new TypeError(canary))).catch(() => {});
    expect(JSON.stringify(finished())).not.toContain(canary);
    expect(exporter.getFinishedSpans()[0]?.status.message).toBe('TypeError');
    exporter.reset();
    configureTelemetry({ ...off, captureContent: true });
    const message = `card ${canary} ${'x'.repeat(10_000)}`;
    await inProcessSpan(pickUp({ ended: [] }), async (describePickUp) => {
      describePickUp({ outcome: 'failed', error: { code: 'tool_error', message } });
    });
    const [exported] = exporter.getFinishedSpans();
    expect(exported?.status.message).toMatch(/^card \[redacted card\] x+$/);
    expect(exported?.status.message).toHaveLength(4_096);
    expect(exported?.events[0]?.attributes?.['exception.message']).toBe(exported?.status.message);
  });

  it('content is captured only when asked for, redacted and cut', async () => {
    await wholeRun();
    expect(JSON.stringify(finished())).not.toContain(canary);
    expect(Object.keys(finished()[2]?.attributes ?? {})).not.toContain('gen_ai.tool.call.arguments');

    configureTelemetry({ ...off, captureContent: true });
    exporter.reset();
    await wholeRun();
    expect(finished()[2]?.attributes).toMatchObject({
      'gen_ai.tool.call.arguments': '{"card":"[redacted card]"}',
      'gen_ai.tool.call.result': '{"slept":5,"password":"[redacted]"}',
    });
    exporter.reset();
    await inToolSpan({ envelope, tool: 'nap', args: { text: 'x'.repeat(10_000) } }, async () => 10n);
    expect(only().attributes['gen_ai.tool.call.arguments']).toHaveLength(4_096);
    expect(only().attributes['gen_ai.tool.call.result']).toBeUndefined();
  });

  it('a user is named by an HMAC that tells owners and secrets apart, and never without a secret', async () => {
    const hashOf = async (userHashSecret: string, owner: string) => {
      exporter.reset();
      configureTelemetry({ ...off, userHashSecret });
      const bound = { ...envelope, principal: { ...principal, owner } };
      await inProcessSpan(pickUp({ envelope: bound }), async () => {});
      expect(JSON.stringify(only())).not.toContain('mia');
      return only().attributes['user.hash'];
    };
    expect(await hashOf('', 'acme')).toBeUndefined();
    const hash = await hashOf('one', 'acme');
    expect(hash).toMatch(/^[0-9a-f]{32}$/);
    expect(await hashOf('one', 'acme')).toBe(hash);
    expect(await hashOf('one', 'other')).not.toBe(hash);
    expect(await hashOf('two', 'acme')).not.toBe(hash);
  });
});
