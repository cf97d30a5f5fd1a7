import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { startLocalRedis, type LocalRedis } from '../../packages/cli/src/local-redis/index.ts';
import { countSoak, isSound } from './count.ts';
import { startSoakFleet } from './fleet.ts';
import { keepBusy, type SoakLoad } from './load.ts';

const soakMs = 40_000;
const restartEveryMs = 10_000;
const downMs = 2_000;
const atOnce = 200;

/** Redis is killed and started again under load: with its append-only file, or with nothing of what it had. */
export function soakRestart(persistence: 'aof' | 'none'): () => Promise<boolean> {
  return async () => {
    const prefix = `soak-restart-${process.pid}`;
    const dataDir = await mkdtemp(join(tmpdir(), 'callyard-soak-'));
    const appendOnly = persistence === 'aof';
    let redis = await startLocalRedis({ dataDir, appendOnly });
    const port = Number(new URL(redis.url).port);
    const fleet = await startSoakFleet(redis.url, prefix);
    const stopAt = performance.now() + soakMs;
    const backAt: number[] = [];
    const restarting = (async () => {
      while (performance.now() + restartEveryMs < stopAt) {
        await delay(restartEveryMs);
        redis = await restart(redis, { port, dataDir, appendOnly });
        backAt.push(performance.now());
      }
    })();
    const load = await keepBusy(fleet.dispatcher, atOnce, stopAt);
    await restarting;
    const died = fleet.processes.filter((one) => one?.process.exitCode !== null).length;
    const counted = await countSoak(redis.url, prefix, load.runs);
    const recovered = { restarts: backAt.length, recoveredMs: backAt.map((at) => firstEndAfter(load, at)) };
    console.log(JSON.stringify({ soak: `restart-${persistence}`, ...recovered, gone: load.gone, died, ...counted }));
    await fleet.stop();
    await redis.stop();
    await rm(dataDir, { recursive: true, force: true });
    const isWhole = isSound(counted) && Object.keys(load.gone).length === 0;
    const isClear = counted.notCompleted === 0 && counted.wrongConversations.length === 0;
    return died === 0 && (persistence === 'none' ? isClear : isWhole);
  };
}

async function restart(
  redis: LocalRedis,
  again: { port: number; dataDir: string; appendOnly: boolean },
): Promise<LocalRedis> {
  process.kill(redis.pid ?? 0, 'SIGKILL');
  await redis.stop();
  await delay(downMs);
  return startLocalRedis(again);
}

const firstEndAfter = ({ endedAt }: SoakLoad, at: number): number =>
  Math.round(Math.min(...endedAt.filter((end) => end > at)) - at);
