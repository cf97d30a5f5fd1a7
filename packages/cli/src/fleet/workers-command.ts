import { startClock } from '@callyard/shared/clock';
import { createFleetReader, type FleetPool, type FleetWorker } from '@callyard/shared/fleet';
import { renderTable } from '../table.ts';
import { withRedis } from '../with-redis.ts';
import { ageText, countText } from './figures.ts';
import { toolNames } from './page.ts';

/** `callyard workers`: those that live, by pool. */
export async function workersCommand({ json }: { json?: boolean }): Promise<void> {
  const { pools, now } = await withRedis('callyard-workers', async (redis, names) => {
    const clock = await startClock(redis);
    clock.stop();
    return { ...(await createFleetReader(redis, names).read()), now: clock.now() };
  });
  const workers = pools.flatMap((pool) => pool.workers.map((worker) => ({ ...worker, tools: pool.tools })));
  if (json) console.log(JSON.stringify(workers));
  else
    console.log(
      workers.length === 0 ? 'no workers' : renderTable([head, ...workers.map((worker) => rowOf(worker, now))]),
    );
}

const head = ['ID', 'HOST', 'PID', 'POOL', 'SLOTS', 'ACTIVE', 'FOR', 'TOOLS'];

type Row = FleetWorker & Pick<FleetPool, 'tools'>;

/** @param now on the clock of Redis, as `startedAt` is */
function rowOf({ id, host, pid, pool, slots, active, startedAt, tools }: Row, now: number): string[] {
  const age = ageText(Math.max(1, now - startedAt));
  return [id, host, String(pid), pool, countText(slots), countText(active), age, toolNames(tools)];
}
