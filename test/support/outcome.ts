import type { Outcome } from '@callyard/shared/call';

/** The outcome of a call that a worker has run, with nothing special to it. */
export const plainOutcome = (key: string, own: Partial<Outcome> = {}): Outcome => ({
  v: 1,
  key,
  call: { id: 'c', name: 't' },
  tool: { name: 't', version: '1.0.0' },
  status: 'completed',
  attempts: 1,
  lost: 0,
  settledBy: 'worker',
  enqueuedAt: 1,
  waits: [],
  ...own,
});

/** What a call waited for, other than for a slot: that it does for a moment wherever a worker has just come. */
export const waitedFor = (outcome: Outcome | undefined): string[] =>
  (outcome?.waits ?? []).map(({ reason }) => reason).filter((reason) => reason !== 'queue' && reason !== 'share');
