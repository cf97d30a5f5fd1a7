import { callFields } from '@callyard/shared/call-log';
import type { Tool } from '@callyard/shared/tool';
import type { Attempt, WorkerContext } from './attempt.ts';

/** Keeps a redacted result for equal calls. On its way before the settle that wakes those who wait for it. */
export function keep(
  value: unknown,
  { admission, envelope }: Attempt,
  { manifest }: Tool,
  { cache, log }: WorkerContext,
): void {
  const policy = manifest.policy.cache;
  if (!policy || !admission) return;
  cache.keep(admission.cacheId, value, policy).catch((error: unknown) => {
    log.warn({ event: 'cache.not_kept', err: error, ...callFields(envelope) }, 'a result could not be kept');
  });
}
