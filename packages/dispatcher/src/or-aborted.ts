/** What the answer resolves to; rejects with the signal's reason if that comes first. */
export function orAborted<T>(answer: T | Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  const onAbort = () => reject(signal.reason as Error);
  signal.addEventListener('abort', onAbort, { once: true });
  return Promise.race([answer, promise]).finally(() => signal.removeEventListener('abort', onAbort));
}
