import { RunOver } from './run-over.ts';

/** The one bound over everything a run does: its time, and its caller's wish to stop. */
export interface Deadline {
  /** aborts with `RunOver` */
  readonly signal: AbortSignal;
  /** to be called when the run has ended, however it did */
  clear(): void;
}

/** Node fires timers beyond this at once, so a run of weeks is bounded by it: 24.8 days. */
const maxTimerMs = 2 ** 31 - 1;

/** `onCancel` is called when the caller cancels on the way. */
export function startDeadline(ms: number, cancel?: AbortSignal, onCancel?: () => void): Deadline {
  const controller = new AbortController();
  const expire = () => controller.abort(new RunOver('deadline_exceeded'));
  if (ms <= 0) expire();
  const timer = setTimeout(expire, Math.min(ms, maxTimerMs));
  const end = () => controller.abort(new RunOver('cancelled'));
  const onAbort = () => {
    onCancel?.();
    end();
  };
  if (cancel?.aborted) end();
  cancel?.addEventListener('abort', onAbort, { once: true });
  return {
    signal: controller.signal,
    clear() {
      clearTimeout(timer);
      cancel?.removeEventListener('abort', onAbort);
    },
  };
}
