import type { FailureCode } from '../failure.ts';
import type { Status, Wait } from '../call.ts';

/** A call as the model proposed it, with as much of its arguments as fits a line. */
export interface ProposedEvent {
  key: string;
  id: string;
  tool: string;
  arguments: string;
}

/** What happens in a run, before it has its number. */
export type RunEventBody =
  | { type: 'state'; state: 'queued' | 'running' | 'waiting' | 'cancelled' }
  /** the model is asked: whatever text of this turn came before is void */
  | { type: 'model.started'; turn: number }
  | { type: 'model.delta'; turn: number; text: string }
  | { type: 'model.finished'; turn: number; text: string | undefined; calls: ProposedEvent[] }
  /** enqueued, and not let go at once; `until` in Redis time, where it is known */
  | { type: 'call.waiting'; key: string; tool: string; reason: Wait['reason']; until?: number }
  | { type: 'call.started'; key: string; tool: string; attempt: number; worker: string }
  /** whatever the handler gave to `ctx.progress` */
  | { type: 'call.progress'; key: string; tool: string; progress: unknown }
  | { type: 'call.finished'; key: string; tool: string; status: Status; code?: FailureCode; durationMs?: number }
  | { type: 'approval.needed'; key: string; tool: string; expiresAt: number }
  | { type: 'approval.decided'; key: string; tool: string; decision: 'approved' | 'denied'; by: string; why?: string }
  | { type: 'end'; state: string; stop: string; error?: string };

/** One thing that happened in a run; `id` counts from 1 and leaves no gap. */
export type RunEvent = RunEventBody & { id: number };

/** The event that a call has ended. */
export function finishedEvent(outcome: {
  key: string;
  call: { name: string };
  status: Status;
  error?: { code: FailureCode };
  durationMs?: number;
}): RunEventBody {
  const { key, call, status, error, durationMs } = outcome;
  return {
    type: 'call.finished',
    key,
    tool: call.name,
    status,
    ...(error === undefined ? {} : { code: error.code }),
    ...(durationMs === undefined ? {} : { durationMs }),
  };
}
