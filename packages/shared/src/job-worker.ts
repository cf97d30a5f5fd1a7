import { isNotConnectionError, Worker as BullWorker, type Processor, type WorkerOptions } from 'bullmq';
import { doneWithin } from './in-time.ts';

/**
 * Seconds. A worker that is frozen, or loses its connection, while it blocks swallows the wake-up of a job; whoever looks
 * next finds it. BullMQ would look after 10 s where jobs are delayed, as calls are that wait for admission.
 */
const maxBlockSeconds = 1;

/** Redis wakes those that wait for a time up to 100 ms late: with five times that, others are first nearly always. */
const maxPoliteMs = 500;

/** BullMQ's worker as all of ours want it: nothing is lost for long, and nothing is waited for without end. */
export class JobWorker extends BullWorker {
  #isPolite = false;

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

  /**
   * From now on what comes due is left to others for a moment. All workers of a queue wake when a job comes due, and the same
   * one may be first again and again: then a job that it can only put away would wait for ever for one that can do it.
   */
  bePolite(): void {
    this.#isPolite = true;
  }

  /** @param blockUntil when the next job comes due, ms, or 0; answers seconds */
  protected override getBlockTimeout(blockUntil: number): number {
    const timeout = super.getBlockTimeout(blockUntil);
    if (!this.#isPolite || blockUntil === 0) return timeout;
    return Math.max(timeout + (Math.random() * maxPoliteMs) / 1_000, this.minimumBlockTimeout);
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
