import { setTimeout as delay } from 'node:timers/promises';
import { createDispatcher, type Dispatcher, type RunView } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { createNames, type Names } from '@callyard/shared/names';
import { createWorker, defineTool, Type } from '@callyard/worker';
import { Redis } from 'ioredis';
import { callsTool, owner, principal } from './called.ts';

const races = 1_000;
const atOnce = 20;
/** Cancels come within this, which is what a run takes from its submit to its call. */
const withinMs = 60;

interface Raced {
  run: RunView;
  /** when BullMQ took the job in, on the clock of Redis; absent where it never did */
  enqueuedAt: number | undefined;
}

/** Runs that are cancelled while their call is on its way: into the queue, to a worker, or to its handler. */
export async function race(
  redisUrl: string,
  report: (what: string, value: number, atMost?: number) => void,
): Promise<void> {
  const prefix = `bench-race-${process.pid}`;
  const log = createLogger({ name: 'bench', level: 'error' });
  const quick = defineTool({
    name: 'quick',
    version: '1.0.0',
    description: 'Takes a moment',
    parameters: Type.Object({ id: Type.String() }),
    handler: (_, { signal }) => delay(2, 'done', { signal }),
  });
  const worker = await createWorker({ redisUrl, prefix, log, tools: [quick] });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, model: callsTool('quick') });
  await dispatcher.waitForTools(['quick']);
  const redis = new Redis(redisUrl);

  const raced: Raced[] = [];
  for (let done = 0; done < races; done += atOnce) {
    const runs = await Promise.all(Array.from({ length: atOnce }, () => cancelSoon(dispatcher)));
    const added = await jobsAdded(redis, createNames(prefix), worker.pool);
    raced.push(...runs.map((run) => ({ run, enqueuedAt: added.get(`${run.runId}.0.0`) })));
  }
  tell(raced, report);
  redis.disconnect();
  await dispatcher.close();
  await worker.close();
}

async function cancelSoon(dispatcher: Dispatcher): Promise<RunView> {
  const { runId } = await dispatcher.submit({ messages: [{ role: 'user', content: 'go' }], principal });
  await delay(Math.random() * withinMs);
  await dispatcher.cancel(runId, { owner });
  return dispatcher.wait(runId, { owner });
}

/** What BullMQ itself says: the ids of its events begin with the time of Redis. */
async function jobsAdded(redis: Redis, names: Names, pool: string): Promise<Map<string, number>> {
  const entries = await redis.xrevrange(`${names.tag}:${names.queue(pool)}:events`, '+', '-', 'COUNT', 50 * atOnce);
  return new Map(
    entries.flatMap(([id, fields]) => {
      const event = fields[fields.indexOf('event') + 1];
      const key = fields[fields.indexOf('jobId') + 1] ?? '';
      return event === 'added' ? [[key, Number.parseInt(id, 10)] as const] : [];
    }),
  );
}

function tell(raced: readonly Raced[], report: (what: string, value: number, atMost?: number) => void): void {
  const count = (is: (one: Raced) => boolean) => raced.filter(is).length;
  const isLate = ({ run, enqueuedAt = 0 }: Raced) => enqueuedAt > (run.cancelled?.at ?? Number.POSITIVE_INFINITY);
  const ended =
    (status: string) =>
    ({ run }: Raced) =>
      run.outcomes.some((outcome) => outcome.status === status);
  report(`calls enqueued after their run read cancelled, of ${races} races`, count(isLate), 0);
  report(
    'calls never enqueued',
    count(({ enqueuedAt }) => enqueuedAt === undefined),
  );
  report('calls that ended as cancelled', count(ended('cancelled')));
  report('calls that ended as completed', count(ended('completed')));
  const isOpen = ({ run, enqueuedAt }: Raced) => enqueuedAt !== undefined && run.outcomes.length === 0;
  report('calls enqueued that have no outcome', count(isOpen), 0);
  report(
    'runs that ended as neither cancelled nor completed',
    count(({ run }) => !['cancelled', 'completed'].includes(run.state)),
    0,
  );
}
