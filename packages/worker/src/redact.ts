import { CallError } from '@callyard/shared/failure';
import type { WorkerContext } from './attempt.ts';

/** Turns what a handler returned into the JSON that may leave the worker: plain, bounded, without secrets. */
export function redact(result: unknown, { limits, redact: clean }: WorkerContext): unknown {
  const text = toJson(result);
  const bytes = Buffer.byteLength(text);
  if (bytes > limits.maxResultBytes) {
    throw new CallError(
      'result_too_large',
      `The result has ${bytes} bytes; at most ${limits.maxResultBytes} are kept.`,
    );
  }
  return clean(JSON.parse(text));
}

/** Like JSON.stringify, with `undefined` as null and an error that says what cannot be JSON. */
export function toJson(result: unknown): string {
  try {
    return JSON.stringify(result) ?? 'null';
  } catch (error) {
    const why = error instanceof Error ? error.message.split('\n', 1)[0] : String(error);
    throw new CallError('tool_error', `The tool returned something that is not JSON (${why}).`);
  }
}
