import { describe, expect, it } from 'vitest';
import { ToolError } from '@callyard/shared/failure';
import { classifyError } from '../../packages/worker/src/classify.ts';

const coded = (code: string, message = 'no') => Object.assign(new Error(message), { code });
const circle: Record<string, unknown> = {};
circle.self = circle;
const withStatus = (fields: object) => Object.assign(new Error('upstream'), fields);

describe('what happens next after', () => {
  it.each([
    ['a connection that was reset', coded('ECONNRESET'), 'upstream_error', 'backoff'],
    ['a host that is not found', coded('ENOTFOUND'), 'upstream_error', 'backoff'],
    [
      'fetch failed, for a reason in its cause',
      new TypeError('fetch failed', { cause: coded('UND_ERR_SOCKET') }),
      'upstream_error',
      'backoff',
    ],
    [
      'several connections that failed',
      new AggregateError([coded('ECONNREFUSED')], 'all'),
      'upstream_error',
      'backoff',
    ],
    ['a timeout of somebody else', new DOMException('late', 'TimeoutError'), 'upstream_error', 'backoff'],
    [
      'a body beyond its cap',
      new TypeError('terminated', { cause: coded('UND_ERR_RES_EXCEEDED_MAX_SIZE') }),
      'tool_error',
      'never',
    ],
    ['status 500', withStatus({ status: 500 }), 'upstream_error', 'backoff'],
    ['status 429 in another shape', withStatus({ statusCode: 429 }), 'upstream_error', 'backoff'],
    ['a response with 408', withStatus({ response: { status: 408 } }), 'upstream_error', 'backoff'],
    ['status 404', withStatus({ status: 404 }), 'upstream_error', 'never'],
    ['a mistake of the program', new TypeError('x is not a function'), 'tool_error', 'never'],
    ['a plain error', new Error('hm'), 'tool_error', 'backoff'],
    ['a text', 'hm', 'tool_error', 'backoff'],
    ['nothing', undefined, 'tool_error', 'backoff'],
    ['an object that is no error', { no: 'error' }, 'tool_error', 'backoff'],
  ])('%s', (_what, thrown, code, retry) => {
    expect(classifyError(thrown)).toMatchObject({ code, retry });
  });

  it.each([
    ['plain headers of any case', { 'Retry-After': 3 }],
    ['plain headers', { 'retry-after': '3' }],
    ['Headers', new Headers({ 'Retry-After': '3' })],
  ])('a status with Retry-After in %s', (_shape, headers) => {
    expect(classifyError(withStatus({ status: 503, headers })).retry).toEqual({ afterMs: 3_000 });
  });

  it.each([
    ['a response', { response: { status: 503, headers: { 'retry-after': '3' } } }],
    ['an object with a get of its own', { status: 503, headers: { get: () => '3' } }],
  ])('a status with Retry-After in %s', (_shape, fields) => {
    expect(classifyError(withStatus(fields)).retry).toEqual({ afterMs: 3_000 });
  });

  it('a status that is final, whatever its Retry-After', () => {
    expect(classifyError(withStatus({ status: 403, headers: { 'retry-after': '3' } })).retry).toBe('never');
  });

  it.each([
    ['a code of somebody else', Object.assign(new Error('no'), { code: 'timeout', retry: true })],
    ['a code that every object has', Object.assign(new Error('no'), { code: 'toString', retry: 'never' })],
  ])('an error with %s and a retry of its own, as after any other', (_what, thrown) => {
    expect(classifyError(thrown)).toMatchObject({ code: 'tool_error', retry: 'backoff' });
  });

  it.each([
    ['no message', Object.assign(new Error('x'), { message: '' }), 'Error'],
    ['a message that is no text', Object.assign(new Error('x'), { message: { no: 'text' } }), 'Error'],
    ['a message that is gone', Object.assign(new Error('x'), { message: undefined }), 'Error'],
  ])('an error with %s', (_what, thrown, message) => {
    expect(classifyError(thrown).message).toBe(message);
  });

  it.each([
    ['"hm"', 'hm'],
    ['undefined', undefined],
    ['null', null],
    ['12', 12n],
    ['Symbol(s)', Symbol('s')],
    ['an object that is no error', { secret: 'x' }],
    ['a function', () => 'secret'],
  ])('%s thrown, which it names', (shown, thrown) => {
    expect(classifyError(thrown).message).toBe(`The tool threw ${shown}.`);
  });

  it('a response with Retry-After, as got has it', () => {
    const error = withStatus({ response: { statusCode: 429, headers: { 'retry-after': '2' } } });
    expect(classifyError(error)).toMatchObject({ code: 'upstream_error', retry: { afterMs: 2_000 } });
  });

  it.each([
    ['a BigInt', { n: 1n }],
    ['a circle', circle],
    ['a megabyte', 'x'.repeat(2 ** 20)],
  ])('a ToolError with %s for details, which are left out so that it can be stored', (_what, details) => {
    const stored = classifyError(new ToolError('no', { details, suggestion: 'ask', retry: 'backoff' }));
    expect(stored).toMatchObject({ code: 'tool_error', message: 'no', suggestion: 'ask', retry: 'backoff' });
    expect(stored.details).toBeUndefined();
  });

  it('a ToolError with a message and a suggestion of a megabyte, both cut short', () => {
    const long = 'x'.repeat(2 ** 20);
    const { message, suggestion } = classifyError(new ToolError(long, { suggestion: long }));
    expect([message.length, suggestion?.length]).toEqual([2_000, 2_000]);
  });

  it('an error that cannot even be looked at', () => {
    const hostile = Object.defineProperty(new Error('e'), 'status', {
      get: () => {
        throw new Error('boom');
      },
    });
    expect(classifyError(hostile)).toMatchObject({ code: 'tool_error', retry: 'never' });
  });

  it('a ToolError, which says for itself', () => {
    const error = new ToolError('no such order', { suggestion: 'ask for the number' });
    expect(classifyError(error)).toBe(error);
  });

  it('a ToolError of another copy of this package', () => {
    const foreign = Object.assign(new Error('no'), { code: 'tool_error', retry: 'never' });
    expect(classifyError(foreign)).toBe(foreign);
  });

  it.each([
    ['a message', new Error('x'.repeat(2 ** 20))],
    ['a text', 'x'.repeat(2 ** 20)],
  ])('%s of a megabyte, cut short', (_what, thrown) => {
    expect(classifyError(thrown).message.length).toBeLessThan(2_100);
  });

  it('an error whose stack is for the log, not for the model', () => {
    const thrown = new Error('no room');
    const { message, cause } = classifyError(thrown);
    expect([message, cause]).toEqual(['no room', thrown]);
  });

  it('causes that go in a ring', () => {
    const thrown = new Error('a');
    thrown.cause = new Error('b', { cause: thrown });
    expect(classifyError(thrown)).toMatchObject({ code: 'tool_error', retry: 'backoff' });
  });
});
