/* A worker of the queues that Callyard is compared with. Arguments: KIND REDIS_URL NAME SLOTS */
import { setTimeout as delay } from 'node:timers/promises';
import { Worker as BullWorker } from 'bullmq';
import { Queue as GroupQueue, Worker as GroupWorker } from 'groupmq';
import { Redis } from 'ioredis';
import type { OtherEnd, OtherJob, OtherKind } from './others.ts';

const [kind, redisUrl, name, slots] = process.argv.slice(2) as [OtherKind, string, string, string];
const redis = new Redis(redisUrl, { maxRetriesPerRequest: null });
const concurrency = Number(slots);
let ended: OtherEnd[] = [];

const handle = async ({ data }: { data: OtherJob }): Promise<void> => {
  await delay(data.ms);
  ended.push({ ...data, endedAt: Date.now() });
};

if (kind === 'groupmq') {
  const queue = new GroupQueue<OtherJob>({ redis, namespace: name });
  void new GroupWorker<OtherJob>({ queue, concurrency, handler: handle }).run();
} else {
  await new BullWorker<OtherJob>(name, handle, { connection: redis, concurrency }).waitUntilReady();
}
setInterval(() => {
  if (ended.length > 0) process.send?.(ended);
  ended = [];
}, 50);
process.on('disconnect', () => process.exit());
process.send?.('ready');
