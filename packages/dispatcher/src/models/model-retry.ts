import { setTimeout as delay } from 'node:timers/promises';
import { ModelError } from '../model.ts';

/** What an attempt to ask a model ended with, as far as asking again is concerned. */
export interface AskFailure {
  retryable: boolean;
  /** HTTP status, where there was an answer */
  status: number | undefined;
  /** how long the other side asked to be left alone */
  retryAfterMs: number | undefined;
  message: string;
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

/** Asks until there is an answer: full-jitter backoff, `Retry-After` honoured. Rejects with `ModelError`. */
export async function askWithRetry<T>(ask: () => Promise<T>, options: AskRetryOptions): Promise<T> {
  const { maxAttempts, maxRetryAfterMs, signal, read } = options;
  for (let attempt = 1; ; attempt++) {
    try {
      return await ask();
    } catch (error) {
      signal.throwIfAborted();
      const { retryable, status, retryAfterMs, message } = read(error);
      const about = { cause: error, ...(status === undefined ? {} : { status }) };
      if (!retryable) throw new ModelError(message, about);
      if (attempt >= maxAttempts) throw new ModelError(`${message} (after ${attempt} attempts)`, about);
      if (retryAfterMs !== undefined && retryAfterMs > maxRetryAfterMs) {
        throw new ModelError(
          `${message} (it asks to wait ${retryAfterMs} ms; at most ${maxRetryAfterMs} are waited)`,
          about,
        );
      }
      await delay(retryAfterMs ?? Math.random() * Math.min(maxDelayMs, minDelayMs * 2 ** (attempt - 1)), undefined, {
        signal,
      });
    }
  }
}
