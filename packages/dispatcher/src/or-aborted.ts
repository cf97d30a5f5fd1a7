/** What the answer resolves to; rejects with the signal's reason if that comes first. */
export function orAborted<T>(answer: T | Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason as Error);
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  // The race hears the answer, too: nobody else does, should it be an error that comes later.
  return Promise.race([promise, answer]).finally(() => signal.removeEventListener('abort', onAbort));
}
