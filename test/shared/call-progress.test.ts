import { describe, expect, it } from 'vitest';
import { resume, type CallProgress, type PickedUp } from '@callyard/shared/call-progress';
import { envelope as plain } from '../support/spans.ts';

const rate = { limit: 1, periodMs: 1, burst: 1 };
const envelope = {
  ...plain,
  enqueuedAt: 1_000,
  limits: [
    { bucket: 'r:mine', per: ['user', 'tool'], cost: 1, rate },
    { bucket: 'r:all', per: [], cost: 1, rate },
  ],
};
const pickedUp = (more: Partial<PickedUp> = {}): PickedUp => ({
  now: 1_100,
  progress: 0,
  lost: 0,
  servedSince: 0,
  ...more,
});
const granted = (at: number, bucket?: string) => ({ admission: { granted: String(at), ...(bucket && { bucket }) } });
const waitsOf = (more: Partial<PickedUp>, own: object = {}) =>
  resume(pickedUp(more), { ...envelope, ...own }).ended.map(({ reason, ms, per }) => [
    reason,
    ms,
    ...(per ? [per] : []),
  ]);

describe('the first pick-up of a call', () => {
  it.each<[string, Partial<PickedUp>, object, unknown[]]>([
    ['waited in its queue', {}, {}, [['queue', 100]]],
    [
      'waited for its share',
      { progress: granted(1_060) },
      {},
      [
        ['share', 60],
        ['queue', 40],
      ],
    ],
    [
      'waited for a limit of its user',
      { progress: granted(1_060, 'r:mine') },
      {},
      [
        ['rate', 60, 'user,tool'],
        ['queue', 40],
      ],
    ],
    [
      'waited for a limit of all',
      { progress: granted(1_060, 'r:all') },
      {},
      [
        ['rate', 60, 'all'],
        ['queue', 40],
      ],
    ],
    [
      'had nobody to serve it',
      {},
      { unservedMs: 30 },
      [
        ['no_worker', 30],
        ['queue', 70],
      ],
    ],
    [
      'was there before its workers',
      { servedSince: 1_080 },
      {},
      [
        ['no_worker', 80],
        ['queue', 20],
      ],
    ],
    ['was served all the time', { servedSince: 900 }, {}, [['queue', 100]]],
    ['was taken from a worker that died', { lost: 1 }, {}, [['lost', 100]]],
    [
      'was taken from one that died, after a limit',
      { lost: 1, progress: granted(1_060, 'r:mine') },
      {},
      [
        ['rate', 60, 'user,tool'],
        ['lost', 40],
      ],
    ],
  ])('%s', (_what, more, own, expected) => {
    expect(waitsOf(more, own)).toEqual(expected);
  });
});

describe('a later pick-up of a call', () => {
  const before: CallProgress = {
    waits: [{ reason: 'queue', ms: 5 }],
    waiting: { reason: 'retry', since: 1_050 },
    attempts: 1,
    retryAfters: 0,
    lost: 1,
    failedAttempts: [{ attempt: 1, code: 'timeout', message: 'late', worker: 'w1', at: 1_050 }],
  };

  it.each<[string, Partial<PickedUp>, unknown[]]>([
    ['waited for its retry', { lost: 1, progress: before }, [['retry', 50]]],
    ['follows a worker that died meanwhile', { lost: 2, progress: before }, [['lost', 50]]],
    ['of a job that an older worker wrote', { progress: { ...before, lost: undefined } }, [['retry', 50]]],
    [
      'waited for a limit, as it was told',
      { lost: 1, progress: { ...before, waiting: { reason: 'rate', since: 1_090, bucket: 'r:mine' } } },
      [['rate', 10, 'user,tool']],
    ],
    ['is not one that nobody served', { lost: 1, servedSince: 1_080, progress: before }, [['retry', 50]]],
  ])('%s', (_what, more, expected) => {
    expect(waitsOf(more)).toEqual(expected);
  });

  it('knows what went before it', () => {
    const resumed = resume(pickedUp({ lost: 1, progress: before }), envelope);
    expect(resumed).toMatchObject({ attempt: 2, failedAttempts: before.failedAttempts });
    expect(resumed.waits).toEqual([...before.waits, ...resumed.ended]);
  });
});
