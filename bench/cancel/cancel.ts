import { setTimeout as delay } from 'node:timers/promises';
import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { environmentWith } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { percentile } from '../../packages/cli/src/replay/summary.ts';
import { startProcesses, stopProcesses } from '../../packages/cli/src/processes.ts';
import type { BenchOptions } from '../options.ts';
import { startDeafProxy } from './deaf-proxy.ts';
import { callsTool, owner, principal } from './called.ts';
import { listenTo, nowMs, type Heard } from './heard.ts';
import { race } from './race.ts';

const cancels = 200;
const cancelsUnheard = 40;

/** Cancels that workers do not hear of are spread over this, as what finds them comes every few seconds. */
const spreadMs = 10_000;

/** From `cancel` of a durable run to the abort of `ctx.signal` in another process, with the default settings of a worker. */
export async function benchCancel({ redisUrl, json }: BenchOptions): Promise<void> {
  const report = (what: string, value: number, atMost?: number): void => {
    const rounded = Math.round(value * 10) / 10;
    const verdict = atMost === undefined ? {} : { target: `≤ ${atMost}`, ok: value <= atMost };
    const line = { what, value: rounded, ...verdict };
    console.log(json ? JSON.stringify({ bench: 'cancel', ...line }) : Object.values(line).join('   '));
  };
  const proxy = await startDeafProxy(redisUrl);
  const fleet = await startFleet(redisUrl, proxy.url);

  const alone: number[] = [];
  for (let i = 0; i < cancels; i++) alone.push(await (await fleet.hold(`alone-${i}`)).cancel());
  reportTimes('one by one', alone, report, 200);

  const together = await Promise.all(Array.from({ length: cancels }, (_, i) => fleet.hold(`together-${i}`)));
  reportTimes(`${cancels} at once`, await Promise.all(together.map(({ cancel }) => cancel())), report, 200);

  proxy.deafen();
  const unheard = await Promise.all(Array.from({ length: cancelsUnheard }, (_, i) => fleet.hold(`unheard-${i}`)));
  const found = unheard.map(async ({ cancel }, i) => {
    await delay((i * spreadMs) / cancelsUnheard);
    return cancel();
  });
  reportTimes('control subscription cut', await Promise.all(found), report, 6_000);
  await fleet.end();
  proxy.stop();
  await race(redisUrl, report);
}

function reportTimes(
  how: string,
  times: readonly number[],
  report: (what: string, value: number, atMost?: number) => void,
  atMost: number,
): void {
  const sorted = times.toSorted((a, b) => a - b);
  report(`cancel to ctx.signal, ${how} (${times.length}), p50 ms`, percentile(sorted, 0.5));
  report(`cancel to ctx.signal, ${how} (${times.length}), p95 ms`, percentile(sorted, 0.95), atMost);
  report(`cancel to ctx.signal, ${how} (${times.length}), longest ms`, Math.max(...times), atMost);
}

/** A call that runs in a worker. */
interface Held {
  /** Resolves with how long it took until the handler knew, ms. */
  cancel(): Promise<number>;
}

/** Two worker processes that reach Redis through the proxy, and a dispatcher here. */
async function startFleet(redisUrl: string, workersUrl: string) {
  const prefix = `bench-cancel-${process.pid}`;
  const settings = { REDIS_URL: workersUrl, CALLYARD_PREFIX: prefix, CALLYARD_LOG_LEVEL: 'error' };
  const env = environmentWith({ ...settings, CALLYARD_CONCURRENCY: String(cancels) });
  const workers = await startProcesses(2, { script: new URL('./worker.ts', import.meta.url), args: [], env });
  const heard = listenTo(workers);
  const log = createLogger({ name: 'bench', level: 'error' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log, model: callsTool('hold') });
  await dispatcher.waitForTools(['hold']);
  return {
    hold: (id: string) => hold(dispatcher, id, heard),
    async end() {
      await dispatcher.close();
      await stopProcesses(workers);
    },
  };
}

async function hold(
  dispatcher: Dispatcher,
  id: string,
  heard: (id: string, is: Heard['is']) => Promise<number>,
): Promise<Held> {
  const { runId } = await dispatcher.submit({ messages: [{ role: 'user', content: id }], principal });
  await heard(id, 'started');
  return {
    async cancel() {
      const at = nowMs();
      await dispatcher.cancel(runId, { owner });
      const [{ state, outcomes }, abortedAt] = await Promise.all([
        dispatcher.wait(runId, { owner }),
        heard(id, 'aborted'),
      ]);
      if (state !== 'cancelled' || outcomes[0]?.status !== 'cancelled') throw new Error(`run ${id} is ${state}`);
      return abortedAt - at;
    },
  };
}
