import { tellGathered } from '@callyard/shared/telemetry';

/** What a turn waits for, for the span that tells of it when that is over. */
export interface Gathering {
  /** A call is on its way: to be called when its outcome has come. */
  sent(key: string): () => void;
  over(): void;
}

export function startGathering(run: Parameters<typeof tellGathered>[0]): Gathering {
  let since = 0;
  let calls = 0;
  let missing = 0;
  let slowest: string | undefined;
  let longestMs = 0;
  return {
    sent(key) {
      const sentAt = Date.now();
      // Where all before it have come, as of calls one after the other, the turn has waited since the first.
      if (missing > 0 || calls === 0) since = sentAt;
      calls += 1;
      missing += 1;
      return () => {
        missing -= 1;
        const ms = Date.now() - sentAt;
        if (ms < longestMs) return;
        longestMs = ms;
        slowest = key;
      };
    },
    over() {
      if (calls > 0) tellGathered(run, { since, calls, missing, slowest });
    },
  };
}
