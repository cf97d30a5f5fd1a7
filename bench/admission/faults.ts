import { setTimeout as delay } from 'node:timers/promises';
import { ask, completed } from './calls.ts';
import { startDispatcher } from './dispatcher-process.ts';
import type { Report } from './figures.ts';
import { quickLock, startFleet, type Fleet } from './fleet.ts';
import { startProxy, type Proxy } from './proxy.ts';
import { startsKey } from './tools.ts';

const user = 'mia';
const calls = 6;
const limits = [{ per: ['user' as const], concurrency: 2, rate: { limit: 100, periodMs: 1_000, burst: 4 } }];
const args = { ms: 100 };

/** Faults that are tried at the same time, each in an installation of its own. */
const atOnce = 3;

/** What became of an installation in which somebody died. */
interface Aftermath {
  /** commands until then */
  commands: number;
  /** calls without an outcome, jobs without a future */
  stranded: number;
  leaked: number;
  /** until another call of the same user was through */
  nextMs: number;
}

type Fault = (fleet: Fleet, proxy: Proxy, commands: number) => Promise<number>;

/** 5. kill -9 of a dispatcher between any two commands of an enqueue, and of a worker between any two of a release. */
export async function measureFaults(redisUrl: string, report: Report): Promise<void> {
  for (const [name, fault] of Object.entries({ dispatcher: killDispatcher, worker: killWorker })) {
    const { commands } = await suffer(redisUrl, fault, Number.POSITIVE_INFINITY);
    const all: Aftermath[] = [];
    let next = 1;
    const lane = async (): Promise<void> => {
      while (next <= commands) all.push(await suffer(redisUrl, fault, next++));
    };
    await Promise.all(Array.from({ length: atOnce }, lane));
    const sum = (of: 'stranded' | 'leaked') => all.reduce((total, one) => total + one[of], 0);
    const where = `${name} killed after each of its commands`;
    report(`calls stranded, ${where}`, sum('stranded'), { exactly: 0 }, { faults: all.length });
    report(`leases and lanes left, ${where}`, sum('leaked'), { exactly: 0 }, { faults: all.length });
    const slowest = Math.max(...all.map(({ nextMs }) => nextMs));
    report(`ms to the end of another call, ${where}`, slowest, { atMost: mostMs }, { faults: all.length });
  }
}

/** A lock, 2 s, and the time the calls before it take when they are run again. */
const mostMs = Number(quickLock.CALLYARD_LOCK_MS) + 2_000 + calls * args.ms;

async function suffer(redisUrl: string, fault: Fault, commands: number): Promise<Aftermath> {
  const fleet = await startFleet(redisUrl, { workers: 1, settings: quickLock });
  const proxy = await startProxy(redisUrl);
  const stranded = await fault(fleet, proxy, commands);
  const counted = proxy.count;
  const dispatcher = await fleet.dispatcher({ limits });
  const from = performance.now();
  const probe = await ask(dispatcher, 1, { user, tool: 'counted', args, timeoutMs: 10 * mostMs });
  const nextMs = Math.round(performance.now() - from);
  await within(async () => (await fleet.jobs()) + (await fleet.leaked()) === 0);
  const after = {
    stranded: stranded + (await fleet.jobs()) + 1 - completed(probe).length,
    leaked: await fleet.leaked(),
  };
  proxy.stop();
  await fleet.end();
  return { commands: counted, nextMs, ...after };
}

/** Waits until it is so, but no longer than it may take: what is not so then is counted. */
async function within(isSo: () => Promise<boolean>): Promise<void> {
  const until = performance.now() + mostMs;
  while (performance.now() < until && !(await isSo())) await delay(50);
}

/** Either all calls of the turn reach the queue, or none of them. */
async function killDispatcher(fleet: Fleet, proxy: Proxy, commands: number): Promise<number> {
  const sender = await startDispatcher(proxy.url, fleet.prefix, { limits });
  const died = new Promise<void>((resolve) => {
    proxy.arm(commands, () => void sender.kill().then(resolve));
  });
  const asked = sender.ask({ count: calls, asked: [{ user, tool: 'counted', args }] });
  await Promise.race([died, asked]);
  await sender.kill();
  await within(async () => (await fleet.jobs()) === 0);
  const outcomes = (await fleet.redis.keys(fleet.names.outcome('*'))).length;
  return outcomes === 0 ? 0 : calls - outcomes;
}

/** From the moment at which the first call runs on the only worker, until all are through; then another one comes. */
async function killWorker(fleet: Fleet, proxy: Proxy, commands: number): Promise<number> {
  const [healthy] = fleet.workers;
  const victim = await fleet.add(proxy.url);
  if (healthy) await fleet.kill(healthy);
  const dispatcher = await fleet.dispatcher({ limits });
  const asked = ask(dispatcher, calls, { user, tool: 'counted', args, timeoutMs: 10 * mostMs });
  while ((await fleet.redis.llen(startsKey(fleet.prefix))) === 0) await delay(5);
  proxy.arm(commands, () => void fleet.kill(victim).then(() => fleet.add()));
  const outcomes = await asked;
  return calls - completed(outcomes).length;
}
