import { gzipSync } from 'node:zlib';
import { expect, it, onTestFinished } from 'vitest';
import { startOtlpReceiver, type OtlpReceiver } from '../../packages/cli/src/otlp-receiver.ts';

async function receiving(): Promise<OtlpReceiver> {
  const receiver = await startOtlpReceiver();
  onTestFinished(receiver.stop);
  return receiver;
}

const json = { 'content-type': 'application/json' };

async function post(
  { endpoint }: OtlpReceiver,
  body: string | Uint8Array<ArrayBuffer>,
  headers: Record<string, string>,
) {
  const response = await fetch(`${endpoint}/v1/traces`, { method: 'POST', body, headers });
  return { status: response.status, text: await response.text() };
}

/** As the OTLP specification has it in JSON: ids in hex, times and integers as text. */
const request = (name: string) =>
  JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'worker' } }] },
        scopeSpans: [
          {
            spans: [
              {
                traceId: 'a1',
                spanId: 'b2',
                parentSpanId: '',
                name,
                kind: 5,
                startTimeUnixNano: '1795200000000000000',
                endTimeUnixNano: '1795200000001500000',
                status: { code: 2, message: 'late' },
                attributes: [
                  { key: 'text', value: { stringValue: 'x' } },
                  { key: 'integer', value: { intValue: '7' } },
                  { key: 'double', value: { doubleValue: 1.5 } },
                  { key: 'flag', value: { boolValue: false } },
                  { key: 'list', value: { arrayValue: { values: [{ stringValue: 'a' }, { intValue: 2 }] } } },
                ],
                events: [
                  { name: 'exception', attributes: [{ key: 'exception.type', value: { stringValue: 'timeout' } }] },
                ],
                links: [{ traceId: 'c3', spanId: 'd4', flags: 1 }],
              },
            ],
          },
        ],
      },
    ],
  });

it('a received span is a plain object', async () => {
  const receiver = await receiving();
  expect(await post(receiver, request('process calls'), json)).toEqual({ status: 200, text: '{}' });
  expect(receiver.spans).toEqual([
    {
      traceId: 'a1',
      spanId: 'b2',
      parentSpanId: undefined,
      name: 'process calls',
      kind: 'CONSUMER',
      startMs: 1_795_200_000_000,
      durationMs: 1.5,
      status: 'ERROR',
      attributes: { text: 'x', integer: 7, double: 1.5, flag: false, list: ['a', 2] },
      events: [{ name: 'exception', attributes: { 'exception.type': 'timeout' } }],
      links: [{ traceId: 'c3', spanId: 'd4' }],
      service: 'worker',
    },
  ]);
});

it('a compressed body is received like any other', async () => {
  const receiver = await receiving();
  await post(receiver, new Uint8Array(gzipSync(request('zipped'))), { ...json, 'content-encoding': 'gzip' });
  expect(receiver.spans.map(({ name }) => name)).toEqual(['zipped']);
  expect(receiver.raw()).toBe(request('zipped'));
});

it('a body in protobuf is refused with the setting that helps', async () => {
  const answer = await post(await receiving(), 'x', { 'content-type': 'application/x-protobuf' });
  expect(answer).toEqual({ status: 415, text: expect.stringContaining('OTEL_EXPORTER_OTLP_PROTOCOL=http/json') });
});

it.each([
  ['torn', '{"resourceSpans":[', json],
  ['not an object', 'null', json],
  ['not what its encoding says', 'plain', { ...json, 'content-encoding': 'gzip' }],
])('a body that is %s is refused, and the next one is received', async (_what, body, headers) => {
  const receiver = await receiving();
  expect((await post(receiver, body, headers)).status).toBe(400);
  await post(receiver, request('next'), json);
  expect(receiver.spans.map(({ name }) => name)).toEqual(['next']);
});

it('who waits for spans is told when they are there, and not before', async () => {
  const receiver = await receiving();
  let told = false;
  const both = receiver.until((spans) => spans.length === 2).then(() => (told = true));
  await post(receiver, request('one'), json);
  expect(told).toBe(false);
  await post(receiver, request('two'), json);
  expect(await both).toBe(true);
  await receiver.until((spans) => spans.length === 2);
});
