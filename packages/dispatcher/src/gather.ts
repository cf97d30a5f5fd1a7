import { parseNotice, type Ledger } from '@callyard/shared/ledger';
import type { Outcome } from '@callyard/shared/call';
import type { Names } from '@callyard/shared/names';
import type { Redis } from '@callyard/shared/redis';
import type { Logger } from 'pino';

/** Keys one MGET reads at once. */
const maxRead = 500;

/** Pauses between looks into the ledger double up to this: a lost notice is rare, and a long call needs no looking after. */
const maxReadPauseMs = 30_000;

/** Whoever attached to a call of another dispatcher is not told of its outcome, so it looks, soon and then every second. */
const attached = { pauseMs: 50, maxPauseMs: 1_000 };

export interface GatherOptions {
  /** its own connection: a subscriber can do nothing else */
  subscriber: Redis;
  names: Names;
  ledger: Ledger;
  /** this dispatcher, as workers reply to it */
  dispatcher: string;
  sweepMs: number;
  log: Logger;
}

/**
 * Collects outcomes as workers announce them. Notices may be lost: the ledger is the truth, and it is read on every
 * reconnect and in a sweep that looks ever more rarely for calls that take long.
 */
export interface Gather {
  /** Resolves with the outcome of a call. `maybeSettled` looks into the ledger soon, not only at the next sweep. */
  expect(key: string, maybeSettled: boolean): Promise<Outcome>;
  /** Hands in an outcome found elsewhere. */
  settle(outcome: Outcome): void;
  stop(): void;
}

interface Expected {
  /** whoever waits: a key that is asked for twice runs once */
  resolve: ((outcome: Outcome) => void)[];
  nextReadAt: number;
  pauseMs: number;
  maxPauseMs: number;
}

export async function startGather(options: GatherOptions): Promise<Gather> {
  const { subscriber, names, ledger, dispatcher, sweepMs, log } = options;
  const expected = new Map<string, Expected>();

  const settle = (outcome: Outcome): void => {
    const entry = expected.get(outcome.key);
    expected.delete(outcome.key);
    for (const resolve of entry?.resolve ?? []) resolve(outcome);
  };

  const readBack = async (keys: readonly string[]): Promise<void> => {
    for (let at = 0; at < keys.length; at += maxRead) {
      for (const outcome of await ledger.read(keys.slice(at, at + maxRead))) if (outcome) settle(outcome);
    }
  };
  const readBackOrLog = (keys: readonly string[]): void => {
    readBack(keys).catch((error: unknown) => log.warn({ err: error }, 'could not read the ledger back'));
  };

  const sweep = (): void => {
    const now = performance.now();
    const due: string[] = [];
    for (const [key, entry] of expected) {
      if (entry.nextReadAt > now) continue;
      due.push(key);
      entry.pauseMs = Math.min(entry.pauseMs * 2, entry.maxPauseMs);
      entry.nextReadAt = now + entry.pauseMs;
    }
    readBackOrLog(due);
  };

  const channel = names.noticeChannel(dispatcher);
  subscriber.on('message', (from: string, message: string) => {
    if (from !== channel) return;
    const large: string[] = [];
    for (const notice of parseNotice(message)) {
      if (typeof notice === 'string') large.push(notice);
      else settle(notice);
    }
    if (large.length > 0) readBackOrLog(large);
  });
  await subscriber.subscribe(channel);
  // Whatever was announced while the connection was down was announced to nobody.
  subscriber.on('ready', () => readBackOrLog([...expected.keys()]));

  const timer = setInterval(sweep, Math.min(sweepMs, 2 * attached.pauseMs));
  timer.unref();
  return {
    expect: (key, maybeSettled) =>
      new Promise((resolve) => {
        const pauses = maybeSettled ? attached : { pauseMs: sweepMs, maxPauseMs: maxReadPauseMs };
        const others = expected.get(key)?.resolve ?? [];
        const nextReadAt = performance.now() + pauses.pauseMs;
        expected.set(key, { resolve: [...others, resolve], ...pauses, nextReadAt });
        if (maybeSettled) readBackOrLog([key]);
      }),
    settle,
    stop: () => clearInterval(timer),
  };
}
