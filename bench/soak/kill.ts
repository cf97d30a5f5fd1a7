import { setTimeout as delay } from 'node:timers/promises';
import { countSoak, isSound } from './count.ts';
import { startSoakFleet, type SoakFleet } from './fleet.ts';
import { keepBusy } from './load.ts';

const soakMs = 60_000;
const atOnce = 200;
const everyMs = 1_000;
const frozenMs = 15_000;

/** 200 runs at a time, while one of the four processes is killed every second, or stopped for a while. */
export async function soakKill(redisUrl: string): Promise<boolean> {
  const prefix = `soak-kill-${process.pid}`;
  const fleet = await startSoakFleet(redisUrl, prefix);
  const stopAt = performance.now() + soakMs;
  const harming = harm(fleet, stopAt);
  const { runs } = await keepBusy(fleet.dispatcher, atOnce, stopAt);
  const harmed = await harming;
  const counted = await countSoak(redisUrl, prefix, runs);
  console.log(JSON.stringify({ soak: 'kill', ...harmed, ...counted }));
  await fleet.stop();
  return isSound(counted);
}

/**
 * Every second one of those that serve is killed and replaced; every fifth time it is stopped, and let go long after its
 * locks are lost.
 */
async function harm(fleet: SoakFleet, stopAt: number): Promise<{ killed: number; frozen: number }> {
  const harmed = { killed: 0, frozen: 0 };
  const later: Promise<unknown>[] = [];
  for (let nth = 1; performance.now() < stopAt; nth++) {
    await delay(everyMs);
    const serving = fleet.processes.flatMap((one, at) => (one ? [{ at, child: one.process }] : []));
    const victim = serving[Math.floor(Math.random() * serving.length)];
    if (!victim) continue;
    const { at, child } = victim;
    if (nth % 5 === 0) {
      harmed.frozen += 1;
      child.kill('SIGSTOP');
      later.push(delay(frozenMs).then(() => child.kill('SIGCONT')));
      later.push(delay(2 * frozenMs).then(() => child.kill('SIGKILL')));
    } else {
      harmed.killed += 1;
      child.kill('SIGKILL');
    }
    later.push(fleet.replace(at));
  }
  await Promise.all(later);
  return harmed;
}
