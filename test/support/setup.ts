import { randomBytes } from 'node:crypto';
import { Redis } from 'ioredis';
import { inject, onTestFinished } from 'vitest';
import {
  createDispatcher,
  scriptedModel,
  type AssistantMessage,
  type Dispatcher,
  type ToolCall,
} from '@callyard/dispatcher';
import { createLogger } from '@callyard/shared/log';
import { createNames, type Names } from '@callyard/shared/names';
import { createWorker, type Tool, type Worker, type WorkerOptions } from '@callyard/worker';

/**
 * Short times: what takes seconds in production takes tens of milliseconds here. But for heartbeats: a worker that has
 * missed three is gone, and its tools are unknown, which none is to be that a busy machine held up for a second.
 */
export const quick = { heartbeatMs: 1_000, sweepMs: 100, unservedMs: 600, stuckAfterMs: 100, shutdownGraceMs: 300 };

export interface Callyard {
  redisUrl: string;
  prefix: string;
  names: Names;
  redis: Redis;
  /** what workers and dispatchers logged, as parsed lines */
  logged: Record<string, unknown>[];
  worker(tools: readonly Tool[], options?: Partial<WorkerOptions>): Promise<Worker>;
  dispatcher(options?: Parameters<typeof createDispatcher>[0]): Promise<Dispatcher>;
}

/** A fresh installation for one test. Its keys are removed only when the test passes: a failed one leaves its evidence. */
export async function setup(): Promise<Callyard> {
  const redisUrl = inject('redisUrl');
  const prefix = `test-${randomBytes(6).toString('hex')}`;
  const redis = new Redis(redisUrl);
  const open: { close(): Promise<void> }[] = [];
  const logged: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void logged.push(JSON.parse(line) as Record<string, unknown>) };
  const log = createLogger({ name: 'test', level: 'debug', destination });

  onTestFinished(async ({ task }) => {
    for (const one of open.toReversed()) await one.close();
    if (task.result?.state !== 'fail') await removeKeys(redis, prefix);
    redis.disconnect();
  });
  return {
    redisUrl,
    prefix,
    names: createNames(prefix),
    redis,
    logged,
    async worker(tools, options = {}) {
      const worker = await createWorker({ ...quick, redisUrl, prefix, log, tools, ...options });
      open.push(worker);
      return worker;
    },
    async dispatcher(options = {}) {
      const dispatcher = await createDispatcher({ ...quick, redisUrl, prefix, log, ...options });
      open.push(dispatcher);
      return dispatcher;
    },
  };
}

async function removeKeys(redis: Redis, prefix: string): Promise<void> {
  const keys = await redis.keys(`{${prefix}:*`);
  if (keys.length > 0) await redis.del(keys);
}

export const principal = { owner: 'acme', userId: 'mia' };

let ids = 0;
export const toolCall = (name: string, args: unknown = {}, id = `call_${++ids}`): ToolCall => ({
  id,
  type: 'function',
  function: { name, arguments: typeof args === 'string' ? args : JSON.stringify(args) },
});

export const proposes = (...calls: ToolCall[]): AssistantMessage => ({
  role: 'assistant',
  content: null,
  tool_calls: calls,
});

export const says = (content: string): AssistantMessage => ({ role: 'assistant', content });

/** A model that says these lines, one a turn. */
export const modelSaying = (...lines: AssistantMessage[]) => scriptedModel(lines);

/** A promise somebody else settles: the signal a test waits for instead of sleeping. */
export function signal<T = void>() {
  return Promise.withResolvers<T>();
}
