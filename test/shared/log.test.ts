import { context, trace } from '@opentelemetry/api';
import { expect, it } from 'vitest';
import { createLogger } from '@callyard/shared/log';

it('a log line carries the trace it was written in, and none outside of one', () => {
  const lines: Record<string, unknown>[] = [];
  const log = createLogger({
    name: 'test',
    destination: { write: (line) => void lines.push(JSON.parse(line) as never) },
  });
  const spanContext = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7', traceFlags: 1 };
  log.info('outside');
  const active = trace.getActiveSpan;
  try {
    trace.getActiveSpan = () => trace.wrapSpanContext(spanContext);
    log.info({ job_id: 'r.0.0' }, 'inside');
  } finally {
    trace.getActiveSpan = active;
  }
  expect(context.active()).toBeDefined();
  expect(lines[0]).toMatchObject({ level: 'info', name: 'test', msg: 'outside' });
  expect(lines[0]).not.toHaveProperty('trace_id');
  expect(lines[1]).toMatchObject({
    trace_id: spanContext.traceId,
    span_id: spanContext.spanId,
    trace_flags: '01',
    job_id: 'r.0.0',
  });
});
