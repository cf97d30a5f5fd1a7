import { propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { beforeAll, describe, expect, it } from 'vitest';
import { callerContext, traceHeaders } from '@callyard/shared/telemetry';
import { carried, extract } from '@callyard/shared/telemetry-context';
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
    null,
    7,
    [traceparent],
    { traceparent },
  ])('is taken for none where it is none, as the request is worth more: %j', (given) => {
    const lines: unknown[] = [];
    const log = { debug: (line: object) => void lines.push(line) };
    trace.getTracer('test').startActiveSpan('around', (around) => {
      const at = callerContext({ traceparent: given as string, tracestate: 'a=1' }, log);
      expect(trace.getSpanContext(at)).toBe(around.spanContext());
      around.end();
    });
    expect(lines).toEqual([{ event: 'trace.malformed', traceparent: expect.any(String) as string }]);
  });

  it.each([null, 7, ['a=1']])('goes without a state that is none: %j', (tracestate) => {
    const given = trace.getSpanContext(callerContext({ traceparent, tracestate: tracestate as unknown as string }));
    expect(given).toMatchObject({ traceId, spanId });
    expect(given?.traceState).toBeUndefined();
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

const at = (tracestate?: string) => callerContext({ traceparent, ...(tracestate ? { tracestate } : {}) });
const travelled = `{"traceparent":"${traceparent}","tracestate":"a=1"}`;

describe('a context that travels', () => {
  it('takes its trace along, whatever else the application around it has there', () => {
    const baggage = propagation.createBaggage({ 'user.email': { value: 'mia@example.com' } });
    expect(carried(propagation.setBaggage(at(), baggage))).toEqual({
      carrier: `{"traceparent":"${traceparent}"}`,
      traceId,
    });
    expect(carried(at('a=1'))).toEqual({ carrier: travelled, traceId });
    expect(carried(ROOT_CONTEXT)).toEqual({ carrier: undefined, traceId: undefined });
  });

  it('arrives as it left, and without what others wrote beside it', () => {
    const found = trace.getSpanContext(extract(travelled));
    expect(found).toMatchObject({ traceId, spanId, traceFlags: 1, isRemote: true });
    expect(found?.traceState?.serialize()).toBe('a=1');
    const before = extract(JSON.stringify({ traceparent, baggage: 'user.email=mia%40example.com' }));
    expect(trace.getSpanContext(before)).toMatchObject({ traceId, spanId });
    expect(propagation.getBaggage(before)).toBeUndefined();
  });

  it.each(['', 'x', 'null', '7', '[]', '{"traceparent":7}', '{"tracestate":"a=1"}', '{"traceparent":"00-1-1-01"}'])(
    'is none where none came: %j',
    (carrier) => {
      expect(trace.getSpanContext(extract(carrier))).toBeUndefined();
    },
  );
});
