import { createControl } from '@callyard/shared/control';
import { drainWorker, type Drained } from '@callyard/shared/drain';
import { createFleetReader, type FleetWorker } from '@callyard/shared/fleet';
import { didYouMean } from '@callyard/shared/nearest';
import { operator } from '../operator.ts';
import { UsageError } from '../usage-error.ts';
import { withRedis } from '../with-redis.ts';
import { ageText, countText } from './figures.ts';

export interface DrainCommand {
  /** ms; default 2 min */
  timeout?: number;
  json?: boolean;
}

/** `callyard drain WORKER`: has it stop as on SIGTERM, and waits until it is gone. Exits with 1 where it is still there. */
export async function drainCommand(wanted: string, { timeout = 120_000, json }: DrainCommand): Promise<void> {
  await withRedis('callyard-drain', async (redis, names) => {
    const { pools } = await createFleetReader(redis, names).read(0);
    const worker = find(
      wanted,
      pools.flatMap(({ workers }) => workers),
    );
    if (!json) console.log(`${worker.id} holds ${callsText(worker.active)}; it is told to stop`);
    const control = createControl(redis, names);
    const drained = await drainWorker({ redis, names, control, worker, by: operator(), timeoutMs: timeout });
    if (!drained.isGone) process.exitCode = 1;
    console.log(json ? JSON.stringify({ worker: worker.id, ...drained }) : describe(worker.id, drained, timeout));
  });
}

/** By its id, or by a beginning that no other worker has. */
function find(wanted: string, workers: readonly FleetWorker[]): FleetWorker {
  if (wanted.trim() === '') throw new UsageError('which worker? Give its id, or the beginning of it.');
  const found = workers.filter(({ id }) => id.startsWith(wanted));
  const [worker, another] = workers.filter(({ id }) => id === wanted).concat(found);
  if (worker && (worker.id === wanted || !another)) return worker;
  const ids = workers.map(({ id }) => id);
  if (!worker) throw new UsageError(`no live worker is called ${wanted}${didYouMean(wanted, ids)}`);
  throw new UsageError(
    `${wanted} is the beginning of ${countText(found.length)} workers: ${found.map(({ id }) => id).join(', ')}`,
  );
}

const callsText = (count: number): string => `${countText(count)} ${count === 1 ? 'call' : 'calls'}`;

const ends = { handedBack: 'handed back', held: 'still held' } as const;

function describe(id: string, { isGone, calls }: Drained, timeoutMs: number): string {
  const told = Object.entries(calls).map(
    ([end, count]) => `${countText(count)} ${end in ends ? ends[end as keyof typeof ends] : end}`,
  );
  const became = told.length > 0 ? ` Of its calls: ${told.join(', ')}.` : ' It held no calls.';
  return isGone ? `${id} is gone.${became}` : `${id} is still there after ${ageText(timeoutMs)}.${became}`;
}
