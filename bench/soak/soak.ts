/* npm run soak -- [kill] [freeze]: the bfcl replay with one of two workers killed, or stopped and let go, on the way. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { dataFile, environmentWith, givenRedisUrl } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { startLocalRedis } from '../../packages/cli/src/local-redis/index.ts';
import { readCases, type ReplayCase } from '../../packages/cli/src/replay/cases.ts';
import { replay } from '../../packages/cli/src/replay/replay.ts';
import { startWorkers, stopWorkers, type WorkerProcess } from '../../packages/cli/src/worker-processes.ts';

/** Long enough to lose the lock of the default profile (10 s), its calls, and the place in the catalog. */
const frozenMs = 25_000;

type Harm = (victim: WorkerProcess) => void;
const harms: Record<string, Harm> = {
  kill: ({ process: child }) => child.kill('SIGKILL'),
  freeze({ process: child }) {
    child.kill('SIGSTOP');
    setTimeout(() => child.kill('SIGCONT'), frozenMs);
  },
};

const file = dataFile('bfcl.jsonl', fileURLToPath(new URL('../../../shared/data/', import.meta.url)));
if (!existsSync(file)) {
  console.error(`${file} is not there; CALLYARD_DATA_DIR names the folder of the recorded calls`);
  process.exit(2);
}
const wanted = process.argv.slice(2);
const { cases } = await readCases(file);
const redis = await startLocalRedis({ url: givenRedisUrl(), log: (line) => console.error(line) });
for (const name of wanted.length > 0 ? wanted : Object.keys(harms)) await soak(name, cases);
await redis.stop();

async function soak(name: string, all: readonly ReplayCase[]): Promise<void> {
  const harm = harms[name];
  if (!harm) throw new Error(`no soak ${name}; there are: ${Object.keys(harms).join(', ')}`);
  const prefix = `soak-${name}-${process.pid}`;
  const script = new URL('./worker.ts', import.meta.url);
  const env = environmentWith({ REDIS_URL: redis.url, CALLYARD_PREFIX: prefix, CALLYARD_LOG_LEVEL: 'info' });
  const workers = await startWorkers(2, { script, args: [file], env });
  const dispatcher = await createDispatcher({
    redisUrl: redis.url,
    prefix,
    log: createLogger({ name: 'soak', level: 'error' }),
  });
  let harmedAt = 0;
  const onProgress = (done: number, of: number) => {
    if (harmedAt > 0 || done < of / 2) return;
    harmedAt = Date.now();
    harm(workers[0] as WorkerProcess);
  };
  const { outcomes, summary } = await observed(dispatcher, all, onProgress);
  const lost = outcomes.filter((outcome) => outcome.lost > 0);
  const restarts = lost.map(({ startedAt = 0 }) => startedAt - harmedAt);
  const recovery = {
    callsLost: lost.length,
    recoveredFirstMs: Math.min(...restarts),
    recoveredLastMs: Math.max(...restarts),
  };
  console.log(JSON.stringify({ soak: name, ...summary, ...recovery }));
  await dispatcher.close();
  await stopWorkers(workers);
}

/** A replay, with the outcomes of its runs listened to on their way. */
async function observed(
  dispatcher: Dispatcher,
  all: readonly ReplayCase[],
  onProgress: (done: number, of: number) => void,
) {
  const outcomes: Awaited<ReturnType<Dispatcher['run']>>['outcomes'] = [];
  const listening: Dispatcher = {
    ...dispatcher,
    async run(options) {
      const result = await dispatcher.run(options);
      outcomes.push(...result.outcomes);
      return result;
    },
  };
  const summary = await replay({ dispatcher: listening, cases: all, concurrency: 32, onProgress });
  return { outcomes, summary };
}
