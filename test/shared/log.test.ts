import { trace } from '@opentelemetry/api';
import { beforeAll, expect, it } from 'vitest';
import { createLogger } from '@callyard/shared/log';
import { keepSpans } from '../support/spans.ts';

const written: Record<string, unknown>[] = [];
const destination = { write: (line: string) => void written.push(JSON.parse(line) as never) };
const log = createLogger({ name: 'test', destination });
const lastLine = () => written.at(-1) ?? {};

beforeAll(keepSpans);

it('a line within an active span carries its trace', () => {
  trace.getTracer('test').startActiveSpan('work', (span) => {
    log.info({ job_id: 'r.0.0' }, 'inside');
    const { traceId, spanId } = span.spanContext();
    expect(lastLine()).toMatchObject({ trace_id: traceId, span_id: spanId, trace_flags: '01', job_id: 'r.0.0' });
    span.end();
  });
});

it('a line outside of any span carries no trace', () => {
  log.info('outside');
  expect(lastLine()).toMatchObject({ level: 'info', name: 'test', msg: 'outside' });
  expect(Object.keys(lastLine())).not.toContain('trace_id');
});

it('a line below the level is not written', () => {
  const quiet = createLogger({ name: 'test', level: 'warn', destination });
  quiet.warn('heard');
  quiet.info('unheard');
  expect(lastLine()).toMatchObject({ level: 'warn', msg: 'heard' });
});

it.each([
  ['the command of a failed Redis call', { command: { name: 'set', args: ['key', '{"arguments":"hunter2"}'] } }],
  ['the headers of a failed request', { status: 401, headers: { authorization: 'Bearer hunter2' } }],
])('a logged error leaves out %s', (_what, hung) => {
  const error = Object.assign(new Error('refused', { cause: Object.assign(new Error('why'), hung) }), hung);
  for (const one of [error, new AggregateError([error], 'refused')]) {
    log.error({ err: one }, 'failed');
    expect(JSON.stringify(lastLine())).not.toContain('hunter2');
    log.error(one);
    expect(JSON.stringify(lastLine())).not.toContain('hunter2');
  }
});

it('a logged error keeps its type, code, stack and what caused it', () => {
  const cause = new Error('connect ECONNREFUSED 127.0.0.1:6379');
  log.error({ err: Object.assign(new TypeError('no Redis', { cause }), { code: 'ECONNREFUSED' }) }, 'failed');
  expect(lastLine().err).toEqual({
    type: 'TypeError',
    message: 'no Redis: connect ECONNREFUSED 127.0.0.1:6379',
    stack: expect.stringContaining('log.test.ts') as string,
    code: 'ECONNREFUSED',
  });
  log.error({ err: new AggregateError([cause], 'all failed') }, 'failed');
  expect(lastLine().err).toMatchObject({ message: 'all failed', aggregateErrors: [{ message: cause.message }] });
});

it('a thrown object that is no error is not written out', () => {
  log.error({ err: { password: 'hunter2' } }, 'failed');
  expect(lastLine().err).toBe('an object that is no error');
  log.error({ err: 'a text' }, 'failed');
  expect(lastLine().err).toBe('a text');
});
