import type { Tool } from '@callyard/shared/tool';
import type { Attempt, WorkerContext } from './attempt.ts';

/** Keeps a redacted result for equal calls. On its way before the settle that wakes those who wait for it. */
export function keep(value: unknown, { admission }: Attempt, { manifest }: Tool, { cache, log }: WorkerContext): void {
  const policy = manifest.policy.cache;
  if (!policy || !admission) return;
  cache.keep(admission.cacheId, value, policy).catch((error: unknown) => {
    log.warn({ err: error, tool: manifest.name }, 'a result could not be kept');
  });
}
