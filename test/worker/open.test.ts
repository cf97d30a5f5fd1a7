import { expect, it } from 'vitest';
import type { Wait } from '@callyard/shared/call';
import { maxLateMs } from '../../packages/worker/src/open.ts';

it.each<[number, number, Wait['reason'][]]>([
  [100, 1, []],
  [100, 1, ['queue', 'retry', 'queue', 'lost', 'retry_after', 'queue']],
  [100, 1, ['rate', 'queue']],
  [200, 1, ['rate', 'queue', 'rate', 'queue']],
  [400, 1, ['concurrency', 'queue', 'rate', 'queue', 'rate', 'queue']],
  [100, 2, ['rate', 'queue', 'rate', 'queue']],
  [200, 2, ['rate', 'queue', 'rate', 'queue', 'rate', 'queue']],
])('a grant holds for %i ms in attempt %i after %j', (ms, attempt, reasons) => {
  expect(maxLateMs({ waits: reasons.map((reason) => ({ reason, ms: 1 })), attempt })).toBe(ms);
});
