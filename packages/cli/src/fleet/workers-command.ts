import { createFleetReader, type FleetPool, type FleetWorker } from '@callyard/shared/fleet';
import { renderTable } from '../table.ts';
import { withRedis } from '../with-redis.ts';
import { ageText, countText } from './figures.ts';
import { toolNames } from './page.ts';

/** `callyard workers`: those that live, by pool. */
export async function workersCommand({ json }: { json?: boolean }): Promise<void> {
  const { pools } = await withRedis('callyard-workers', (redis, names) => createFleetReader(redis, names).read());
  const workers = pools.flatMap((pool) => pool.workers.map((worker) => ({ ...worker, tools: pool.tools })));
  if (json) console.log(JSON.stringify(workers));
  else console.log(workers.length === 0 ? 'no workers' : renderTable([head, ...workers.map(rowOf)]));
}

const head = ['ID', 'HOST', 'PID', 'POOL', 'SLOTS', 'ACTIVE', 'FOR', 'TOOLS'];

function rowOf({ id, host, pid, pool, slots, active, startedAt, tools }: FleetWorker & Pick<FleetPool, 'tools'>) {
  const age = ageText(Math.max(1, Date.now() - startedAt));
  return [id, host, String(pid), pool, countText(slots), countText(active), age, toolNames(tools)];
}
