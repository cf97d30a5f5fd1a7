import { expect, it, onTestFinished } from 'vitest';
import type { Envelope } from '@callyard/shared/call';
import { watchHeldJobs } from '../../packages/worker/src/held-jobs.ts';

it('a job that was fetched before its worker was stopped for longer than its lock is lost as soon as it is held', () => {
  const held = watchHeldJobs(60_000);
  onTestFinished(() => held.stop());
  const envelope = { runId: 'r', enqueuedAt: 0 } as Envelope;
  const [before, now] = [new AbortController(), new AbortController()];
  held.hold('r.0.0', envelope, before, Date.now() - 60_500);
  held.hold('r.0.1', envelope, now, Date.now());
  expect(before.signal.reason).toMatchObject({ kind: 'lock-lost' });
  expect(now.signal.aborted).toBe(false);
});

it('a lock that is over is lost, also where a worker that was stopped for long reads only then that it was renewed', () => {
  const held = watchHeldJobs(1_000);
  onTestFinished(() => held.stop());
  const abort = new AbortController();
  held.hold('r.0.0', { runId: 'r', enqueuedAt: 0 } as Envelope, abort, Date.now() - 990);
  for (const until = performance.now() + 20; performance.now() < until;); // stopped: no timer is heard
  held.renewed(['r.0.0']);
  expect(abort.signal.reason).toMatchObject({ kind: 'lock-lost' });
});
