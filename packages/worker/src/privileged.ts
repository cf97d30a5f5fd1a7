import type { Tool } from '@callyard/shared/tool';
import type { Attempt, WorkerContext } from './attempt.ts';

/**
 * Writes down that a privileged call was let through, also where its result is taken from the cache. Before it starts:
 * a worker that dies meanwhile leaves the record.
 */
export function noteAllowed({ envelope, attempt }: Attempt, { manifest }: Tool, { audit }: WorkerContext): void {
  const { requires, approval, effects } = manifest.policy;
  if (requires.length === 0 && !approval && effects !== 'at-most-once') return;
  const { key: job_id, runId: run_id, principal } = envelope;
  const about = { principal, job_id, run_id, tool: manifest.name, attempt };
  audit.write({ event: 'call.allowed', decision: 'allowed', ...about }, 'a privileged call begins', 'debug');
}
