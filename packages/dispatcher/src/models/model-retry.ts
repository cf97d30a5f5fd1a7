import { setTimeout as delay } from 'node:timers/promises';
import { ModelError } from '../model.ts';

/** What an attempt to ask a model ended with, as far as asking again is concerned. */
export interface AskFailure {
  retryable: boolean;
  message: string;
  /** HTTP status, where there was an answer */
  status?: number | undefined;
  /** how long the other side asked to be left alone */
  retryAfterMs?: number | undefined;
}

export interface AskRetryOptions {
  /** attempts at most */
  maxAttempts: number;
  /** a longer `Retry-After` ends the run instead of holding it */
  maxRetryAfterMs: number;
  signal: AbortSignal;
  /** reads what an attempt threw */
  read: (error: unknown) => AskFailure;
}

const minDelayMs = 500;
const maxDelayMs = 8_000;

/**
 * Asks until there is an answer: full-jitter backoff, `Retry-After` honoured. Rejects with `ModelError`, or with the
 * signal's reason.
 */
export async function askWithRetry<T>(ask: () => Promise<T>, options: AskRetryOptions): Promise<T> {
  const { signal, read } = options;
  for (let attempt = 1; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      await delay(pauseAfter(read(error), attempt, options), undefined, { signal }).catch(() =>
        signal.throwIfAborted(),
      );
    }
  }
}

/** How long to wait before the next attempt. @throws ModelError if there is none */
export function pauseAfter(
  failure: AskFailure,
  attempt: number,
  bounds: Pick<AskRetryOptions, 'maxAttempts' | 'maxRetryAfterMs'>,
): number {
  const { maxAttempts, maxRetryAfterMs } = bounds;
  const { retryable, status, retryAfterMs, message } = failure;
  const giveUp = (why: string) => new ModelError(`${message}${why}`, status === undefined ? {} : { status });
  if (!retryable) throw giveUp('');
  if (attempt >= maxAttempts) throw giveUp(` (after ${attempt} attempts)`);
  if (retryAfterMs === undefined) return Math.random() * Math.min(maxDelayMs, minDelayMs * 2 ** (attempt - 1));
  if (retryAfterMs <= maxRetryAfterMs) return retryAfterMs;
  throw giveUp(` (it asks to wait ${retryAfterMs} ms; at most ${maxRetryAfterMs} are waited)`);
}
