import { trace } from '@opentelemetry/api';
import { beforeAll, describe, expect, it } from 'vitest';
import { callerContext, traceHeaders } from '@callyard/shared/telemetry';
import { keepSpans } from '../support/spans.ts';

beforeAll(keepSpans);

const [traceId, spanId] = ['1'.repeat(32), '2'.repeat(16)];
const traceparent = `00-${traceId}-${spanId}-01`;

describe('the trace of a caller', () => {
  it('is read as W3C Trace Context has it, with its state', () => {
    const given = trace.getSpanContext(callerContext({ traceparent, tracestate: 'a=1,b=2' }));
    expect(given).toMatchObject({ traceId, spanId, traceFlags: 1, isRemote: true });
    expect(given?.traceState?.serialize()).toBe('a=1,b=2');
    expect(trace.getSpanContext(callerContext({ traceparent: `01-${traceId}-${spanId}-03-more` }))).toMatchObject({
      traceId,
      traceFlags: 1,
    });
  });

  it('is what is active where none is given', () => {
    trace.getTracer('test').startActiveSpan('around', (around) => {
      expect(trace.getSpanContext(callerContext({}))).toBe(around.spanContext());
      around.end();
    });
  });

  it.each([
    '',
    'x',
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `ff-${traceId}-${spanId}-01`,
    `${traceparent}-more`,
    `${traceparent}0`,
    traceparent.replaceAll('1', 'A'),
  ])('is refused where it is none: %j', (given) => {
    expect(() => callerContext({ traceparent: given })).toThrow(TypeError);
    expect(() => callerContext({ traceparent: given })).toThrow(/^traceparent: /);
  });

  it('goes out again as headers of the span that is active', () => {
    expect(traceHeaders()).toEqual({});
    trace.getTracer('test').startActiveSpan('ours', {}, callerContext({ traceparent, tracestate: 'a=1' }), (ours) => {
      const headers = { traceparent: `00-${traceId}-${ours.spanContext().spanId}-01`, tracestate: 'a=1' };
      expect(traceHeaders()).toEqual(headers);
      ours.end();
    });
  });
});
