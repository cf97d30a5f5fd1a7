import { startClock } from '@callyard/shared/clock';
import { createFleetReader } from '@callyard/shared/fleet';
import { createTallyReader, tallyKeptMinutes } from '@callyard/shared/tally';
import { UsageError } from '../usage-error.ts';
import { withRedis } from '../with-redis.ts';
import { showLive, timeText } from './live-page.ts';
import { renderStats } from './page.ts';

export interface StatsCommand {
  watch?: boolean;
  /** ms; default 15 min */
  last?: number;
  json?: boolean;
}

const everyMs = 2_000;

/** `callyard stats`: how the fleet stands, and what it did in the last minutes. */
export async function statsCommand({ watch, last = 900_000, json }: StatsCommand): Promise<void> {
  const minutes = Math.max(1, Math.ceil(last / 60_000));
  if (minutes > tallyKeptMinutes) throw new UsageError(`no more than the last ${tallyKeptMinutes}m are kept.`);
  await withRedis('callyard-stats', async (redis, names) => {
    const clock = await startClock(redis);
    const [fleet, tally] = [createFleetReader(redis, names), createTallyReader(redis, names, clock)];
    const page = async (): Promise<string> => {
      const [stands, did] = await Promise.all([fleet.read(), tally.read(minutes)]);
      const stats = { ...stands, tally: did };
      return json ? JSON.stringify({ at: clock.now(), ...stats }) : renderStats(stats);
    };
    try {
      const timed = async (): Promise<string> => {
        const text = await page();
        return `${timeText(new Date())}\n${text}\n`;
      };
      if (watch) await showLive(json ? page : timed, everyMs);
      else console.log(await page());
    } finally {
      clock.stop();
    }
  });
}
