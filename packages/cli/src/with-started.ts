/** Takes how to stop what has just been started. */
export type AtEnd = (stop: () => unknown) => void;

/** For commands that start processes and connections: however the work ends, they are stopped, the last one first. */
export async function withStarted<T>(work: (atEnd: AtEnd) => Promise<T>): Promise<T> {
  const stops: (() => unknown)[] = [];
  try {
    return await work((stop) => void stops.push(stop));
  } finally {
    await stopAll(stops);
  }
}

/** One that cannot be stopped keeps none of the others. */
async function stopAll(stops: (() => unknown)[]): Promise<void> {
  const stop = stops.pop();
  if (!stop) return;
  try {
    await stop();
  } finally {
    await stopAll(stops);
  }
}
