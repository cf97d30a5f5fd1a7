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
