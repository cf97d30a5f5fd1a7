import { retryAfterMs } from '@callyard/shared/retry-after';
import OpenAI from 'openai';
import type { AskFailure } from './model-retry.ts';

/** The response broke off, or holds no answer: nothing of it is used, and asking again may help. */
export class CutResponse extends Error {
  override name = 'CutResponse';
}

/** Enough to see what is wrong; some gateways answer with a whole page. */
const maxMessageLength = 500;
/** A shorter one is what people write for a server that wants none, and stands in many a text: `none`, `ollama`. */
const minKeyLength = 8;

/** What a failed request means. The text names the model and never shows the key, though a server may repeat it. */
export function readFailure(error: unknown, { model, apiKey }: { model: string; apiKey: string }): AskFailure {
  const failure = read(error);
  const shown = apiKey.length < minKeyLength ? failure.message : failure.message.replaceAll(apiKey, '[redacted]');
  return { ...failure, message: `${model}: ${shown.slice(0, maxMessageLength)}` };
}

function read(error: unknown): AskFailure {
  if (error instanceof CutResponse) return { retryable: true, message: error.message };
  if (isTorn(error)) return { retryable: true, message: 'the response was cut off' };
  if (error instanceof OpenAI.APIConnectionError)
    return { retryable: true, message: `no connection: ${rootOf(error)}` };
  if (!(error instanceof OpenAI.APIError)) return { retryable: false, message: String(error) };
  const headers = error.headers as Headers | undefined;
  const status = statusOf(error);
  const retryable = isRetryable(status, headers?.get('x-should-retry'));
  return { retryable, status, retryAfterMs: retryAfterOf(headers), message: error.message };
}

/** A body cut on its way is a bare TypeError of Node's fetch or, where it seemed to end well, JSON that does not parse. */
const isTorn = (error: unknown): boolean =>
  error instanceof SyntaxError || (error instanceof TypeError && error.message === 'terminated');

/** The bottom of the causes says what "Connection error." does not: which address, and why. */
function rootOf(error: Error): string {
  if (error.cause instanceof Error) return rootOf(error.cause);
  return error.message || ((error as NodeJS.ErrnoException).code ?? error.name);
}

/** An error in the middle of a stream has no status; some servers give it as the code. */
function statusOf({ status, code }: { status: unknown; code: unknown }): number | undefined {
  if (typeof status === 'number') return status;
  return typeof code === 'number' ? code : undefined;
}

function isRetryable(status: number | undefined, said: string | null | undefined): boolean {
  if (said === 'true' || said === 'false') return said === 'true';
  return status === undefined || status === 408 || status === 409 || status === 429 || status >= 500;
}

/** OpenAI's own header is finer than the standard one. */
function retryAfterOf(headers: Headers | undefined): number | undefined {
  const ms = Number(headers?.get('retry-after-ms') || Number.NaN);
  return Number.isFinite(ms) ? ms : retryAfterMs(headers?.get('retry-after'));
}
