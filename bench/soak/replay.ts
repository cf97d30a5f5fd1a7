import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDispatcher, type Dispatcher } from '@callyard/dispatcher';
import { dataFile, environmentWith } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { readCases, type ReplayCase } from '../../packages/cli/src/replay/cases.ts';
import { replay } from '../../packages/cli/src/replay/replay.ts';
import { startProcesses, stopProcesses, type ServingProcess } from '../../packages/cli/src/processes.ts';

/** Long enough to lose the lock of the default profile (10 s), its calls, and the place in the catalog. */
const frozenMs = 25_000;

type Harm = (victim: ServingProcess) => void;
const harms: Record<'kill' | 'freeze', Harm> = {
  kill: ({ process: child }) => child.kill('SIGKILL'),
  freeze({ process: child }) {
    child.kill('SIGSTOP');
    setTimeout(() => child.kill('SIGCONT'), frozenMs);
  },
};

const file = dataFile('bfcl.jsonl', fileURLToPath(new URL('../../../shared/data/', import.meta.url)));

/** The bfcl replay with one of two workers killed, or stopped and let go, on the way. */
export function soakReplay(name: 'kill' | 'freeze'): (redisUrl: string) => Promise<boolean> {
  return async (redisUrl) => {
    if (!existsSync(file)) {
      console.error(`${file} is not there; CALLYARD_DATA_DIR names the folder of the recorded calls`);
      return false;
    }
    const { cases } = await readCases(file);
    return soak(name, cases, redisUrl);
  };
}

async function soak(name: 'kill' | 'freeze', all: readonly ReplayCase[], redisUrl: string): Promise<boolean> {
  const harm = harms[name];
  const prefix = `soak-${name}-${process.pid}`;
  const script = new URL('./replay-worker.ts', import.meta.url);
  const env = environmentWith({ REDIS_URL: redisUrl, CALLYARD_PREFIX: prefix, CALLYARD_LOG_LEVEL: 'info' });
  const workers = await startProcesses(2, { script, args: [file], env });
  const dispatcher = await createDispatcher({
    redisUrl,
    prefix,
    log: createLogger({ name: 'soak', level: 'error' }),
  });
  let harmedAt = 0;
  const onProgress = (done: number, of: number) => {
    if (harmedAt > 0 || done < of / 2) return;
    harmedAt = Date.now();
    harm(workers[0] as ServingProcess);
  };
  const { outcomes, summary } = await observed(dispatcher, all, onProgress);
  const lost = outcomes.filter((outcome) => outcome.lost > 0);
  const restarts = lost.map(({ startedAt = 0 }) => startedAt - harmedAt);
  const recovery = {
    callsLost: lost.length,
    recoveredFirstMs: Math.min(...restarts),
    recoveredLastMs: Math.max(...restarts),
  };
  console.log(JSON.stringify({ soak: `replay-${name}`, ...summary, ...recovery }));
  await dispatcher.close();
  await stopProcesses(workers);
  return summary.lost === 0 && summary.duplicated === 0;
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
