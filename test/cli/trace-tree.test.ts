import { expect, it } from 'vitest';
import type { ReceivedSpan } from '../../packages/cli/src/otlp-receiver.ts';
import { renderTraceTree } from '../../packages/cli/src/trace-tree.ts';

const span = (
  spanId: string,
  parentSpanId: string | undefined,
  name: string,
  more: Partial<ReceivedSpan>,
): ReceivedSpan => ({
  traceId: 't',
  spanId,
  parentSpanId,
  name,
  kind: 'INTERNAL',
  startMs: 1_000,
  durationMs: 1,
  status: 'UNSET',
  attributes: {},
  events: [],
  links: [],
  service: 'dispatcher',
  ...more,
});

const worker = { 'gen_ai.tool.name': 'nap', 'messaging.client.id': 'w1' };
const failed = { ...worker, 'callyard.outcome': 'retry', 'error.type': 'timeout', 'callyard.wait.ms': 0 };
const completed = {
  ...worker,
  'callyard.outcome': 'completed',
  'callyard.wait.ms': 40,
  'callyard.wait.reason': 'retry',
};

it('a tree shows who called whom in order of time, how long it took and what went wrong', () => {
  const spans = [
    span('5', '3', 'process calls', { startMs: 1_050, durationMs: 7, attributes: completed }),
    span('4', '3', 'process calls', { startMs: 1_003.4, durationMs: 5.25, status: 'ERROR', attributes: failed }),
    span('6', '4', 'execute_tool nap', { startMs: 1_004, status: 'ERROR', service: 'worker' }),
    span('2', '1', 'chat m', { startMs: 1_060 }),
    span('3', '1', 'send calls', { startMs: 1_001 }),
    span('1', undefined, 'invoke_agent callyard', { durationMs: 70 }),
  ];
  const lines = renderTraceTree(spans)
    .split('\n')
    .map((line) => line.replaceAll(/ {2,}/g, '  ').trimStart());
  expect(lines).toEqual([
    'invoke_agent callyard  +0 ms  70.0 ms  dispatcher',
    '├─ send calls  +1 ms  1.0 ms  dispatcher',
    '│  ├─ process calls  +3 ms  5.3 ms ✗ nap · retry · timeout · w1',
    '│  │  └─ execute_tool nap  +4 ms  1.0 ms ✗ worker',
    '│  └─ process calls  +50 ms  7.0 ms  nap · completed · waited 40 ms (retry) · w1',
    '└─ chat m  +60 ms  1.0 ms  dispatcher',
  ]);
});

it('a span whose parent was not received is a root of its own', () => {
  const lines = renderTraceTree([
    span('2', 'lost', 'orphan', {}),
    span('1', undefined, 'root', { startMs: 900 }),
  ]).split('\n');
  expect(lines.map((line) => line.split(' ')[0])).toEqual(['root', 'orphan']);
});

it('nothing is rendered as nothing', () => {
  expect(renderTraceTree([])).toBe('');
});
