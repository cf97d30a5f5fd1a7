import { setTimeout as delay } from 'node:timers/promises';
import { RunError, type Dispatcher, type RunEvent } from '@callyard/dispatcher';

const tryAgainMs = 500;

/** The events of a run to its end, across whatever breaks the reading: it goes on after the last that was seen. */
export async function* eventsToTheEnd(
  dispatcher: Dispatcher,
  runId: string,
  { owner, signal }: { owner: string; signal: AbortSignal },
): AsyncGenerator<RunEvent, void, void> {
  let after = 0;
  for (;;) {
    try {
      for await (const event of dispatcher.events(runId, { owner, after, signal })) {
        after = event.id;
        yield event;
      }
      return;
    } catch (error) {
      if (signal.aborted || (error instanceof RunError && error.code !== 'no_event')) throw error;
      // Not kept any more, or forgotten with the numbers: those there are, are new.
      if (error instanceof RunError) after = 0;
      await delay(tryAgainMs, undefined, { signal });
    }
  }
}
