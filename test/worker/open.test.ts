import { expect, it } from 'vitest';
import type { Wait } from '@callyard/shared/call';
import { maxLateMs } from '../../packages/worker/src/open.ts';

it.each<[number, Wait['reason'][]]>([
  [100, []],
  [100, ['queue', 'retry', 'queue', 'lost', 'retry_after', 'queue']],
  [100, ['rate', 'queue']],
  [200, ['rate', 'queue', 'rate', 'queue']],
  [400, ['concurrency', 'queue', 'rate', 'queue', 'rate', 'queue']],
])('a grant holds for %i ms after %j', (ms, reasons) => {
  expect(maxLateMs(reasons.map((reason) => ({ reason, ms: 1 })))).toBe(ms);
});
