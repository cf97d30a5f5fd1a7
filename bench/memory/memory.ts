import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createDispatcher, type ToolCall } from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { Redis } from 'ioredis';
import type { BenchOptions } from '../options.ts';

const calls = 100_000;
const callsPerTurn = 10;
const turnsAtOnce = 32;
const samples = 20;

/** Outcomes are kept until the deadline and this; short, so that the ledger reaches its level within the bench. */
const runMs = 4_000;
const ledgerTtlMs = 1_000;

interface Sample {
  calls: number;
  heapMb: number;
  redisMb: number;
}

/** 100,000 calls through one worker: its heap after gc, and what Redis uses. Both are to be flat over the last half. */
export async function benchMemory({ redisUrl, json }: BenchOptions): Promise<void> {
  const prefix = `bench-memory-${process.pid}`;
  const script = new URL('./worker.ts', import.meta.url);
  const worker = fork(script, [redisUrl, prefix, String(ledgerTtlMs)], { execArgv: ['--expose-gc'] });
  await once(worker, 'message');
  const redis = new Redis(redisUrl);
  const log = createLogger({ name: 'bench', level: 'error' });
  const dispatcher = await createDispatcher({ redisUrl, prefix, log });
  await dispatcher.waitForTools(['echo']);

  const taken: Sample[] = [];
  let turnsLeft = calls / callsPerTurn;
  for (let i = 0; i < samples; i++) {
    let share = calls / callsPerTurn / samples;
    const lane = async () => {
      while (share-- > 0 && turnsLeft-- > 0) await runTurn(dispatcher, turnsLeft);
    };
    await Promise.all(Array.from({ length: turnsAtOnce }, lane));
    taken.push({ calls: ((i + 1) * calls) / samples, heapMb: await heapOf(worker), redisMb: await redisMemory(redis) });
  }
  for (const sample of taken) console.log(json ? JSON.stringify({ bench: 'memory', ...sample }) : describe(sample));
  await dispatcher.close();
  worker.disconnect();
  redis.disconnect();
}

async function runTurn(dispatcher: Awaited<ReturnType<typeof createDispatcher>>, turn: number): Promise<void> {
  const toolCalls = Array.from({ length: callsPerTurn }, (_, i): ToolCall => {
    const text = JSON.stringify({ text: `call ${i} of turn ${turn}` });
    return { id: `call_${i}`, type: 'function', function: { name: 'echo', arguments: text } };
  });
  const principal = { owner: 'bench', userId: 'bench' };
  const { outcomes } = await dispatcher.execute(toolCalls, { principal, timeoutMs: runMs });
  if (outcomes.some(({ status }) => status !== 'completed')) throw new Error(`turn ${turn} failed`);
}

async function heapOf(worker: ChildProcess): Promise<number> {
  worker.send('heap');
  const [bytes] = (await once(worker, 'message')) as [number];
  return megabytes(bytes);
}

async function redisMemory(redis: Redis): Promise<number> {
  const info = await redis.info('memory');
  return megabytes(Number(/^used_memory:(\d+)/m.exec(info)?.[1] ?? 0));
}

const megabytes = (bytes: number): number => Math.round((bytes / 2 ** 20) * 10) / 10;

const describe = ({ calls: done, heapMb, redisMb }: Sample): string =>
  `${String(done).padStart(7)} calls   worker heap ${heapMb} MB   Redis ${redisMb} MB`;
