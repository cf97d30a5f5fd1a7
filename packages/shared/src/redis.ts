import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { Redis, type ChainableCommander } from 'ioredis';
import type { Logger } from 'pino';
import { inTime } from './in-time.ts';

export type { Redis };

export interface ConnectOptions {
  url: string;
  /** shows in CLIENT LIST */
  name: string;
  log: Logger;
}

/** What a process cannot start or go on with; the message says what to do. */
export class RedisError extends Error {
  override name = 'RedisError';
}

/**
 * One connection. It reconnects for ever, commands wait for it, and each loss and return is logged once.
 * BullMQ demands `maxRetriesPerRequest: null` of connections it blocks on.
 */
export function connectRedis({ url, name, log }: ConnectOptions): Redis {
  const redis = new Redis(url, {
    connectionName: name,
    lazyConnect: true,
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 6), 2_000),
  });
  hearSubscriptions(redis);
  let state: 'new' | 'ready' | 'lost' = 'new';
  redis.on('error', (error: Error) => {
    if (state !== 'ready') return; // the first connection is reported by whoever opens it
    state = 'lost';
    log.error(
      { event: 'redis.lost', redis: hideCredentials(url), reason: reasonOf(error) },
      'Redis is out of reach; trying again',
    );
  });
  redis.on('ready', () => {
    if (state === 'lost') log.info({ event: 'redis.back', redis: hideCredentials(url) }, 'Redis is back');
    state = 'ready';
  });
  return redis;
}

/**
 * ioredis subscribes again by itself when a connection is back, and nobody has the promise of that: closed before the
 * answer, it would be an unhandled rejection, which ends a process that is about to stop in good order.
 */
function hearSubscriptions(redis: Redis): void {
  const subscribe = redis.subscribe.bind(redis) as (...channels: unknown[]) => Promise<unknown>;
  redis.subscribe = (...channels: unknown[]) => {
    const answered = subscribe(...channels);
    answered.catch(() => {});
    return answered;
  };
}

/** A connection that is not made again once it is lost, as what it watches would be forgotten then and nobody told. */
export function connectOnce(like: Redis): Redis {
  const redis = like.duplicate({ retryStrategy: () => null });
  redis.on('error', () => {}); // whoever waits for a command is told
  return redis;
}

/**
 * A connection whose commands are not sent again when it is lost on the way: whoever sent them is told, and looks what
 * became of them. For what is not to be done twice, such as the insert of a job that has run meanwhile.
 */
export function connectUnrepeated(like: Redis, purpose: string): Redis {
  const connectionName = `${like.options.connectionName}:${purpose}`;
  const redis = like.duplicate({ maxRetriesPerRequest: 0, connectionName });
  redis.on('error', () => {}); // whoever waits for a command is told
  return redis;
}

/** Resolves when the connection is there; on one that is not repeated, a command before that would be refused. */
export async function connected(redis: Redis): Promise<void> {
  if (redis.status === 'wait') void redis.connect().catch(() => {});
  if (redis.status !== 'ready') await once(redis, 'ready');
}

/**
 * The first connection of a process: fails instead of waiting when there is no Redis, when it is too old, or when it
 * evicts (a ledger that forgets is no ledger).
 */
export async function openRedis(options: ConnectOptions & { firstTryMs?: number }): Promise<Redis> {
  const redis = connectRedis(options);
  const { firstTryMs = 5_000 } = options;
  try {
    const info = await inTime(firstTryMs, connectAndAsk(redis));
    refuseUnfit(info, options.url);
    return redis;
  } catch (error) {
    redis.disconnect();
    if (error instanceof RedisError) throw error;
    throw new RedisError(
      `cannot reach Redis at ${hideCredentials(options.url)} (${reasonOf(error)}). Start one there, or set REDIS_URL.`,
      { cause: error },
    );
  }
}

async function connectAndAsk(redis: Redis): Promise<string> {
  const refused = new Promise<never>((_, reject) => redis.once('error', reject));
  refused.catch(() => {});
  await Promise.race([redis.connect(), refused]);
  return redis.info();
}

function refuseUnfit(info: string, url: string): void {
  const field = (name: string) => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1];
  const version = field('redis_version') ?? '0';
  if (Number.parseInt(version, 10) < 7) {
    throw new RedisError(`Redis at ${hideCredentials(url)} is ${version}; 7.0 or Valkey 8 at least is needed.`);
  }
  const policy = field('maxmemory_policy') ?? 'noeviction';
  if (policy === 'noeviction') return;
  throw new RedisError(
    `Redis at ${hideCredentials(url)} evicts (maxmemory-policy ${policy}), so calls and outcomes could vanish. ` +
      'Set maxmemory-policy to noeviction.',
  );
}

const reasonOf = (error: unknown): string => {
  if (!(error instanceof Error)) return String(error);
  const code = 'code' in error ? String(error.code) : '';
  return error.message || code || error.name;
};

/**
 * A URL of Redis as it may be shown. ioredis takes a password from before the last `@` and from the query; where it cannot
 * be told which of them an `@` belongs to, nothing is shown.
 */
export function hideCredentials(url: string): string {
  const [, scheme = '', rest = ''] = /^(\w+:\/\/)?(.*)$/s.exec(url) ?? [];
  const at = rest.lastIndexOf('@');
  const [place = ''] = rest.slice(at + 1).split(/[?#]/, 1);
  if (at < 0) return scheme + place;
  return /[?#]/.test(rest.slice(0, at)) ? `${scheme}***` : `${scheme}***@${place}`;
}

/**
 * What a pipeline answered, in order. `exec` rejects only where nothing came back: what Redis refused, as one does that is
 * full, stands among its answers, and the first of that is thrown here.
 */
export async function answersOf(pipeline: Pick<ChainableCommander, 'exec'>): Promise<unknown[]> {
  return ((await pipeline.exec()) ?? []).map(([error, answer]) => {
    if (error) throw error;
    return answer;
  });
}

/** A message that was published. Anybody may publish, and a listener that throws ends its process: what is no JSON says nothing. */
export function readMessage(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A Lua script beside the module that uses it, named after its number of keys: `settle-2.lua`. */
export type Script = (redis: Redis, keys: string[], args: (string | number)[]) => Promise<unknown>;

/** A script that joins a transaction: to be defined on the connection, then run by name with the arguments. */
export interface ScriptInTransaction {
  name: string;
  define(redis: Redis): void;
}

/** Loads a script by SHA, falling back to its text once where Redis does not know it yet. */
export function loadScript(file: string, base: string): Script {
  const { name, define } = scriptInTransaction(file, base);
  return (redis, keys, args) => {
    define(redis);
    const commands = redis as unknown as Record<string, ((...parts: unknown[]) => Promise<unknown>) | undefined>;
    return commands[name]?.(keys.length, ...keys, ...args) ?? Promise.reject(new Error(`no script ${file}`));
  };
}

export function scriptInTransaction(file: string, base: string): ScriptInTransaction {
  const lua = readScript(new URL(file, base));
  const name = `callyard_${file.replace(/\W/g, '_')}`;
  return {
    name,
    define(redis) {
      if (!(name in redis)) redis.defineCommand(name, { lua });
    },
  };
}

/** A line `-- @include other.lua` stands for that file, found beside the one that includes it. */
function readScript(file: URL): string {
  const lua = readFileSync(file, 'utf8');
  return lua.replace(/^-- @include (\S+)$/gm, (_, included: string) => readFileSync(new URL(included, file), 'utf8'));
}
