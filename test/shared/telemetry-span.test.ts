import { trace, type Tracer } from '@opentelemetry/api';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  configureTelemetry,
  inAgentSpan,
  inCallsSpan,
  inProcessSpan,
  inSettleSpan,
  inSubmitSpan,
  inToolSpan,
  startSendSpan,
  tellGathered,
  tellLostHolds,
  tellRefused,
  type PickUpEnd,
} from '@callyard/shared/telemetry';
import { spans as spanTable } from '@callyard/shared/telemetry-names';
import { hashOfUser } from '@callyard/shared/telemetry-span';
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
    ['an error with a code of ours', Object.assign(new Error('late'), { code: 'timeout' }), 'timeout', 'late'],
    ['an error of a library', Object.assign(new Error('x'), { code: 'UND_ERR_SOCKET' }), 'UND_ERR_SOCKET', 'x'],
    ['an error whose code is a token', Object.assign(new Error('no'), { code: 'sk-1f0c' }), 'Error', 'no'],
    ['an error whose code is a user', Object.assign(new Error('no'), { code: 'mia.c@acme' }), 'Error', 'no'],
    ['an error whose code is a number', Object.assign(new Error('no'), { code: 'ERR_ORDER_48213' }), 'Error', 'no'],
    ['an error with an HTTP status', Object.assign(new Error('slow down'), { status: 429 }), '429', 'slow down'],
    ['an error whose status is none of HTTP', Object.assign(new Error('no'), { status: 48_213 }), 'Error', 'no'],
    ['an error that is named after a secret', Object.assign(new Error('no'), { name: 'sk-1f0c' }), '_OTHER', 'no'],
    ['an object that is no error', { name: 'Mia' }, '_OTHER', '[object Object]'],
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
    expect(exported?.status.message).toHaveLength(2_048);
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
    expect(only().attributes['gen_ai.tool.call.arguments']).toHaveLength(2_048);
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

  it('of whatever kind names the user', async () => {
    configureTelemetry({ ...off, userHashSecret: 's' });
    await wholeRun();
    await inSubmitSpan({ runId: 'r1', conversationId: undefined, principal }, async () => {});
    await inCallsSpan({ runId: 'r1', conversationId: undefined, principal }, async () => {
      tellGathered(run, { since: 1, calls: 1, missing: 0, slowest: undefined });
    });
    tellRefused(envelope, { status: 'refused', error: { code: 'unknown_tool', message: 'no such tool' } });
    const { carrier } = startSendSpan(envelope);
    await inSettleSpan(envelope, 'cancelled', carrier, async () => {});
    tellLostHolds(run, { carrier, lost: [{ fence: '1', heldAt: 1, aliveAt: 2 }] });
    const named = finished().map(({ name, attributes }) => [name, attributes['user.hash']]);
    expect(named.filter(([, user]) => user !== hashOfUser(principal))).toEqual([]);
    const firstWords = (names: unknown[]) => new Set(names.map((name) => String(name).split(' ')[0]));
    expect(firstWords(named.map(([name]) => name))).toEqual(
      firstWords(Object.values(spanTable).map(({ name }) => name)),
    );
    expect(named.filter(([name]) => name === 'invoke_agent callyard')).toHaveLength(2);
    expect(named.filter(([name]) => name === 'settle calls')).toHaveLength(2);
  });

  it('of a trace that is not sampled is not even made', async () => {
    const metadata = JSON.stringify({ traceparent: `00-${'1'.repeat(32)}-${'2'.repeat(16)}-00` });
    const starts = vi.spyOn(Object.getPrototypeOf(trace.getTracer('callyard')) as Tracer, 'startSpan');
    onTestFinished(() => starts.mockRestore());
    await wholeRun();
    expect(starts).toHaveBeenCalledTimes(5);
    starts.mockClear();
    await inProcessSpan(pickUp({ metadata }), async (describePickUp) => {
      const sent = startSendSpan(envelope);
      expect(sent.carrier).toBe(metadata); // what follows hangs on what came, as there is nothing between
      sent.end('calls-3f9ac2d1', 5);
      await inToolSpan({ envelope, tool: 'nap', args: {} }, async () => 1);
      tellRefused(envelope, { status: 'refused' });
      tellGathered(run, { since: 1, calls: 1, missing: 0, slowest: undefined });
      describePickUp({ outcome: 'completed' });
    });
    await inSettleSpan(envelope, 'cancelled', metadata, async () => {});
    tellLostHolds(run, { carrier: metadata, lost: [{ fence: '1', heldAt: 1, aliveAt: 2 }] });
    expect(starts).not.toHaveBeenCalled();
  });
});
