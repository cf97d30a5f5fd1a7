import { createDispatcher } from '@callyard/dispatcher';
import { environmentWith, givenRedisUrl, loadConfig } from '@callyard/shared/config';
import { createLogger } from '@callyard/shared/log';
import { startLocalRedis } from './local-redis/index.ts';
import { progressBar } from './progress.ts';
import { readCases } from './replay/cases.ts';
import { replay, replayDamaged, type DamageSummary } from './replay/replay.ts';
import type { ReplaySummary } from './replay/summary.ts';
import { UsageError } from './usage-error.ts';
import { startProcesses, stopProcesses } from './processes.ts';
import { withStarted } from './with-started.ts';

export interface ReplayCommand {
  tools?: string;
  workers: number;
  concurrency: number;
  mutate?: boolean;
  json?: boolean;
}

const replayWorker = new URL('./replay/replay-worker.ts', import.meta.url);

/** `callyard replay FILE.jsonl`: recorded calls through the whole path, on worker processes of its own. */
export async function replayCommand(file: string, options: ReplayCommand): Promise<void> {
  const { cases, problems } = await readFileOrExplain(file);
  for (const { line, problem } of problems) console.error(`${file}:${line}: left out: ${problem}`);
  if (problems.length > 0) process.exitCode = 1;
  if (cases.length === 0) throw new UsageError(`${file} holds no case that can be replayed`);
  const config = loadConfig('dispatcher');
  await withStarted(async (atEnd) => {
    const redis = await startLocalRedis({ url: givenRedisUrl(), log: (line) => console.error(line) });
    atEnd(() => redis.stop());
    const workers = await startProcesses(options.workers, {
      script: replayWorker,
      args: options.tools === undefined ? [file] : [file, options.tools],
      env: environmentWith({ REDIS_URL: redis.url }),
    });
    atEnd(() => stopProcesses(workers));
    console.error(`Workers: ${workers.map(({ id }) => id).join(', ')}`);
    const log = createLogger({ name: 'callyard-replay', level: 'silent' });
    const dispatcher = await createDispatcher({ ...config, redisUrl: redis.url, log });
    atEnd(() => dispatcher.close());
    const bar = progressBar('replay');
    atEnd(() => bar.end());
    const drive = options.mutate ? replayDamaged : replay;
    const summary = await drive({ dispatcher, cases, concurrency: options.concurrency, onProgress: bar.show });
    bar.end();
    console.log(options.json ? JSON.stringify(summary) : describe(summary));
  });
}

async function readFileOrExplain(file: string) {
  try {
    return await readCases(file);
  } catch (error) {
    throw new UsageError(`cannot read ${file}: ${(error as Error).message}`);
  }
}

function describe(summary: ReplaySummary & Partial<DamageSummary>): string {
  return Object.entries(summary)
    .map(([name, value]) => `${name.padEnd(20)} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`)
    .join('\n');
}
