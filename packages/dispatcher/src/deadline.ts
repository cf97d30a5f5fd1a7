import { RunOver } from './calls.ts';

/** The one bound over everything a run does: its time, and its caller's wish to stop. */
export interface Deadline {
  /** aborts with `RunOver` */
  readonly signal: AbortSignal;
  /** to be called when the run has ended, however it did */
  clear(): void;
}

/** Node fires timers beyond this at once, so a run of weeks is bounded by it: 24.8 days. */
const maxTimerMs = 2 ** 31 - 1;

export function startDeadline(ms: number, cancel?: AbortSignal): Deadline {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(new RunOver('deadline_exceeded')), Math.min(ms, maxTimerMs));
  const onCancel = () => controller.abort(new RunOver('cancelled'));
  if (cancel?.aborted) onCancel();
  cancel?.addEventListener('abort', onCancel, { once: true });
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      cancel?.removeEventListener('abort', onCancel);
    },
  };
}
