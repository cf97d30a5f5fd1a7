/** A request on its way: `sent` when it has been handed to the connection, `done` with its answer. */
export interface Underway<R> {
  sent: Promise<void>;
  done: Promise<R>;
}

/**
 * Gathers what is asked for within one turn of the event loop into one call. A burst of settles then costs one script
 * and one publish instead of one each; a lone one waits no longer than the current turn of the loop.
 */
export function batchByTick<T, R>(run: (items: T[]) => Promise<R[]>, maxBatch: number): (item: T) => Underway<R> {
  interface Waiting {
    item: T;
    sent: () => void;
    resolve: (result: R) => void;
    reject: (error: unknown) => void;
  }
  const waiting: Waiting[] = [];

  const flush = (): void => {
    const batch = waiting.splice(0, maxBatch);
    if (waiting.length > 0) setImmediate(flush);
    run(batch.map(({ item }) => item)).then(
      (results) => batch.forEach(({ resolve }, i) => resolve(results[i] as R)),
      (error: unknown) => batch.forEach(({ reject }) => reject(error)),
    );
    for (const { sent } of batch) sent();
  };

  return (item) => {
    const sent = Promise.withResolvers<void>();
    const done = Promise.withResolvers<R>();
    waiting.push({ item, sent: sent.resolve, resolve: done.resolve, reject: done.reject });
    if (waiting.length === 1) setImmediate(flush);
    return { sent: sent.promise, done: done.promise };
  };
}
