import { beforeAll, beforeEach, expect, it } from 'vitest';
import type { HeldRun } from '@callyard/shared/runs/run-store';
import { inHoldSpan, type SpanOfHold } from '../../packages/dispatcher/src/durable/hold-span.ts';
import { HoldEnd } from '../../packages/dispatcher/src/run-over.ts';
import { memoryRunRecord } from '../../packages/dispatcher/src/run-record.ts';
import { exporter, finished, keepSpans, only, principal } from '../support/spans.ts';

beforeAll(keepSpans);
beforeEach(() => exporter.reset());

const held: HeldRun = { kind: 'held', fence: '1', fields: {}, before: [], began: { why: 'submitted', lost: [] } };
const bounds = { timeoutMs: 1, maxTurns: 1, maxCalls: 1, maxTokens: 1 };
const spec: SpanOfHold['spec'] = { principal, class: 'interactive', model: 'm', mode: 'parallel', bounds };
const to: Parameters<typeof inHoldSpan>[1] = {
  clock: { now: () => Date.now(), stop() {} },
  store: { recordTrace: async () => 'written' },
};

/** A hold that ends without its run. */
const leaving = (letGo: SpanOfHold['letGo'], end: Error) =>
  inHoldSpan({ runId: 'r1', held, spec, record: memoryRunRecord([]), letGo }, to, () => Promise.reject(end));

it('a hold that ends before its run is told once that is written, in the words of what was written', async () => {
  const end = new HoldEnd('handed-over');
  const told: unknown[] = [];
  const letGo = async (why: unknown) => {
    told.push(why, ...finished());
    return 'handed-over';
  };
  await expect(leaving(letGo, end)).rejects.toBe(end);
  expect(told).toEqual([end]);
  expect(only()).toMatchObject({ status: 'UNSET', attributes: { 'callyard.hold.ended': 'handed-over' } });
});

it.each<[string, SpanOfHold['letGo']]>([
  ['could not be written', () => Promise.reject(new Error('Redis is gone'))],
  ['was refused, as another dispatcher has the run', async () => 'stale'],
])('a hold whose end %s is left to whoever takes over', async (_why, letGo) => {
  const end = new HoldEnd('parked');
  await expect(leaving(letGo, end)).rejects.toBe(end);
  expect(finished()).toEqual([]);
});
