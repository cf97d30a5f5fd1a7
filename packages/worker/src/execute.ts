import { callFields } from '@callyard/shared/call-log';
import { inToolSpan } from '@callyard/shared/telemetry';
import type { Tool } from '@callyard/shared/tool';
import type { Attempt, WorkerContext } from './attempt.ts';
import { bounded } from './bounded.ts';
import { runIsolated } from './isolate.ts';
import { measuredAttempt } from './measured.ts';

/** Runs the handler once, here or in a child process, unless its circuit is open. Rejects with what ended the attempt. */
export function execute(attempt: Attempt, tool: Tool, args: unknown, worker: WorkerContext): Promise<unknown> {
  const { envelope } = attempt;
  const { name, policy } = tool.manifest;
  const { key } = envelope;
  if (worker.log.isLevelEnabled('debug'))
    worker.log.debug({ event: 'call.started', ...callFields(envelope), attempt: attempt.attempt }, 'an attempt begins');
  worker.telling.tell(envelope, { type: 'call.started', key, tool: name, attempt: attempt.attempt, worker: worker.id });
  return worker.breakers.run(tool, () =>
    inToolSpan({ envelope, tool: name, args }, () =>
      measuredAttempt(name, () =>
        bounded(attempt, tool, worker, (ctx) =>
          policy.isolate ? runIsolated(tool, args, ctx) : tool.handler(args as never, ctx),
        ),
      ),
    ),
  );
}
