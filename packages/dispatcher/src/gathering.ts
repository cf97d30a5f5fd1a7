import { tellGathered } from '@callyard/shared/telemetry';

/** What a turn waits for, for the span that tells of it when that is over. */
export interface Gathering {
  sent(): void;
  came(key: string): void;
  over(): void;
}

export function startGathering(run: Parameters<typeof tellGathered>[0]): Gathering {
  let since = 0;
  let calls = 0;
  let missing = 0;
  let slowest: string | undefined;
  return {
    sent() {
      since = Date.now();
      calls += 1;
      missing += 1;
    },
    came(key) {
      slowest = key;
      missing -= 1;
    },
    over() {
      if (calls > 0) tellGathered(run, { since, calls, missing, slowest });
    },
  };
}
