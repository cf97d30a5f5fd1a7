import { isNotConnectionError, Worker as BullWorker, type Processor, type WorkerOptions } from 'bullmq';
import { doneWithin } from './in-time.ts';

/**
 * Seconds. A worker that is frozen, or loses its connection, while it blocks swallows the wake-up of a job; whoever looks
 * next finds it. BullMQ would look after 10 s where jobs are delayed, as calls are that wait for admission.
 */
const maxBlockSeconds = 1;

/** BullMQ's worker as all of ours want it: nothing is lost for long, and nothing is waited for without end. */
export class JobWorker extends BullWorker {
  constructor(
    queue: string,
    process: Processor,
    options: Omit<WorkerOptions, 'drainDelay' | 'maxStalledCount' | 'removeOnComplete'>,
  ) {
    super(queue, process, {
      ...options,
      drainDelay: maxBlockSeconds,
      // BullMQ would fail a job without asking anybody; who takes it up decides.
      maxStalledCount: Number.MAX_SAFE_INTEGER,
      // What ended well is kept elsewhere.
      removeOnComplete: { count: 0 },
    });
  }

  override get maximumBlockTimeout(): number {
    return maxBlockSeconds;
  }

  /** Hears what goes wrong but lost connections: BullMQ tells of those at every try, and who made them logs them once. */
  onFault(listener: (error: Error) => void): void {
    this.on('error', (error) => {
      if (isNotConnectionError(error)) listener(error);
    });
  }

  /**
   * Closes, and gives up waiting for that after `ms`: where its blocking connection was about to be made again, ioredis
   * never says that it ended (redis/ioredis#2169), and BullMQ waits for it. Not forced, what is being fetched is taken up.
   */
  async closeWithin(ms: number, force = false): Promise<void> {
    await doneWithin(ms, this.close(force));
  }
}
