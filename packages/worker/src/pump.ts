import type { AdmissionNews, Due } from '@callyard/shared/admission/admission';
import type { WorkerConfig } from '@callyard/shared/config';
import type { Names } from '@callyard/shared/names';
import { readMessage, type Redis } from '@callyard/shared/redis';
import type { WorkerContext } from './attempt.ts';

/**
 * Has calls start when their time comes: one worker of the installation holds the pump and sleeps until the next of
 * them is due. Whatever makes that earlier is told on the admission channel. Every worker sweeps, and takes the pump
 * over when its holder is silent for two sweeps.
 */
export interface Pump {
  stop(): Promise<void>;
}

export interface PumpOptions {
  config: Pick<WorkerConfig, 'sweepMs'>;
  /** the worker's connection that only listens */
  subscriber: Redis;
  names: Names;
  context: Pick<WorkerContext, 'id' | 'admission' | 'blocks' | 'clock' | 'log'>;
}

export async function startPump({ config, subscriber, names, context }: PumpOptions): Promise<Pump> {
  const { id, admission, blocks, clock, log } = context;
  const pumpMs = 2 * config.sweepMs;
  let timer: NodeJS.Timeout | undefined;
  let holdsPump = false;
  let stopped = false;

  const plan = (due: Due): void => {
    clearTimeout(timer);
    holdsPump = due !== 'other';
    if (typeof due === 'object' && !stopped) timer = setTimeout(pump, Math.ceil(Math.max(0, due.at - clock.now())));
  };
  const run = (ask: Promise<Due>): Promise<void> =>
    ask.then(plan, (error: unknown) =>
      log.warn({ event: 'admission.unasked', err: error }, 'admission could not be asked'),
    );
  const pump = (): void => void run(admission.pump(id));

  subscriber.on('message', (channel: string, message: string) => {
    if (channel !== names.admissionChannel) return;
    const news = readNews(message);
    if (news && 'blocked' in news) blocks.add(news.blocked, news.until);
    else if (news && holdsPump) plan({ at: news.due });
  });
  await subscriber.subscribe(names.admissionChannel);
  await run(admission.sweep(id, pumpMs, true));
  const sweeper = setInterval(() => void run(admission.sweep(id, pumpMs)), config.sweepMs);
  return {
    async stop() {
      stopped = true;
      clearTimeout(timer);
      clearInterval(sweeper);
      // The slots of this worker count no more, and whoever sweeps next gets the pump.
      await run(admission.sweep(id, 1, true));
    },
  };
}

function readNews(message: string): AdmissionNews | undefined {
  const { due, blocked, until } = Object(readMessage(message)) as Record<string, unknown>;
  if (typeof blocked === 'string' && typeof until === 'number') return { blocked, until };
  return typeof due === 'number' ? { due } : undefined;
}
