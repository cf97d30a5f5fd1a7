import { setTimeout as delay } from 'node:timers/promises';
import { ask, completed, users, type Outcome } from './calls.ts';
import type { Report } from './figures.ts';
import { quickLock, startFleet, type Fleet } from './fleet.ts';
import { startsKey } from './tools.ts';

const callers = 100;
const flightMs = 1_000;

/** 8. A hundred equal calls of a hundred users at once are one execution; its worker killed, exactly one more. */
export async function measureSingleFlight(redisUrl: string, report: Report): Promise<void> {
  for (const isKilled of [false, true]) {
    const fleet = await startFleet(redisUrl, { settings: quickLock });
    const { outcomes, elapsedMs } = await fly(fleet, isKilled);
    const where = isKilled ? ', its worker killed' : '';
    const executions = await fleet.redis.llen(startsKey(fleet.prefix));
    const got = completed(outcomes).filter(({ value }) => value === outcomes[0]?.value).length;
    report(`executions of ${callers} equal calls${where}`, executions, { exactly: isKilled ? 2 : 1 });
    report(`callers who got its result${where}`, got, { exactly: callers }, { elapsedMs: Math.round(elapsedMs) });
    await fleet.end();
  }
}

async function fly(fleet: Fleet, isKilled: boolean): Promise<{ outcomes: Outcome[]; elapsedMs: number }> {
  const dispatcher = await fleet.dispatcher();
  const startedAt = performance.now();
  const asked = users(callers).map((user) => ask(dispatcher, 1, { user, tool: 'shared', args: { ms: flightMs } }));
  if (isKilled) await killExecutor(fleet);
  const outcomes = (await Promise.all(asked)).flat();
  return { outcomes, elapsedMs: performance.now() - startedAt };
}

async function killExecutor(fleet: Fleet): Promise<void> {
  let start: string | null = null;
  while (start === null) {
    start = await fleet.redis.lindex(startsKey(fleet.prefix), 0);
    await delay(10);
  }
  const executor = fleet.workers.find((worker) => worker.pid === Number(start?.split(' ')[0]));
  if (executor) await fleet.kill(executor);
}
