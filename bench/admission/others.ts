import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { Queue as BullQueue } from 'bullmq';
import { Queue as GroupQueue } from 'groupmq';
import { Redis } from 'ioredis';
import { slotsOfWorker } from './fleet.ts';

/** What the same load is given to beside Callyard: BullMQ as it is, and a free queue with groups. */
export type OtherKind = 'plain BullMQ' | 'groupmq';

/** A job as these queues carry it. */
export interface OtherJob {
  user: string;
  ms: number;
  /** when it was added, ms */
  at: number;
}

/** Ends of jobs, as their workers tell them. */
export interface OtherEnd extends OtherJob {
  endedAt: number;
}

export interface OtherFleet {
  add(jobs: readonly OtherJob[]): Promise<void>;
  /** in the order in which they came */
  readonly ends: OtherEnd[];
  end(): Promise<void>;
}

/** Two worker processes with as many slots as those of Callyard. */
export async function startOthers(kind: OtherKind, redisUrl: string): Promise<OtherFleet> {
  const name = `bench-${kind.replace(' ', '-')}-${process.pid}-${Date.now()}`;
  const ends: OtherEnd[] = [];
  const script = new URL('./process.ts', import.meta.url);
  const workers = await Promise.all(
    [1, 2].map(async () => {
      const child: ChildProcess = fork(script, [kind, redisUrl, name, String(slotsOfWorker)]);
      await once(child, 'message');
      child.on('message', (some: OtherEnd[]) => void ends.push(...some));
      return child;
    }),
  );
  const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
  return {
    add: kind === 'groupmq' ? groups(redis, name) : plain(redis, name),
    ends,
    async end() {
      await Promise.all(
        workers.map((child) => {
          child.kill('SIGKILL');
          return once(child, 'exit');
        }),
      );
      for await (const keys of redis.scanStream({ match: `*:${name}:*`, count: 1_000 })) {
        if ((keys as string[]).length > 0) await redis.unlink(keys as string[]);
      }
      redis.disconnect();
    },
  };
}

function plain(connection: Redis, name: string): OtherFleet['add'] {
  const queue = new BullQueue<OtherJob>(name, { connection });
  const opts = { removeOnComplete: true, removeOnFail: true };
  return async (jobs) => {
    await queue.addBulk(jobs.map((data) => ({ name: 'work', data, opts })));
  };
}

function groups(redis: Redis, namespace: string): OtherFleet['add'] {
  const queue = new GroupQueue<OtherJob>({ redis, namespace });
  return async (jobs) => {
    await Promise.all(jobs.map((data) => queue.add({ groupId: data.user, data })));
  };
}
