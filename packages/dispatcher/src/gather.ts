import { parseNotice, type Ledger, type RunNotice } from '@callyard/shared/ledger';
import type { Outcome } from '@callyard/shared/call';
import { secondsSince } from '@callyard/shared/call-metrics';
import type { Clock } from '@callyard/shared/clock';
import { measure } from '@callyard/shared/metrics';
import type { Names } from '@callyard/shared/names';
import type { Redis } from '@callyard/shared/redis';
import type { Logger } from 'pino';
import { orAborted } from './or-aborted.ts';

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
  clock: Clock;
  /** told what becomes of durable runs */
  onRun?: (notice: RunNotice) => void;
  log: Logger;
}

/** What is known of a call that is waited for: a run taken over may have its outcome already, an attached one gets no notice. */
export type Expectation = 'new' | 'taken-over' | 'attached';

/**
 * Collects outcomes as workers announce them. Notices may be lost: the ledger is the truth, and it is read on every
 * reconnect and in a sweep that looks ever more rarely for calls that take long.
 */
export interface Gather {
  /** Resolves with the outcome of a call; rejects with the reason of `leave` when that aborts. */
  expect(key: string, what: Expectation, leave?: AbortSignal): Promise<Outcome>;
  /** Hands in an outcome found elsewhere. */
  settle(outcome: Outcome): void;
  stop(): void;
}

interface Expected {
  /** its outcome cannot be older than the wait for it */
  isNew: boolean;
  /** whoever waits: a key that is asked for twice runs once */
  waiting: Set<(outcome: Outcome) => void>;
  nextReadAt: number;
  pauseMs: number;
  maxPauseMs: number;
}

export async function startGather(options: GatherOptions): Promise<Gather> {
  const { subscriber, names, ledger, dispatcher, sweepMs, clock, onRun, log } = options;
  const expected = new Map<string, Expected>();

  const settle = (outcome: Outcome): void => {
    const entry = expected.get(outcome.key);
    expected.delete(outcome.key);
    if (entry?.isNew) measureLag(outcome, clock);
    for (const resolve of entry?.waiting ?? []) resolve(outcome);
  };

  const readBack = async (keys: readonly string[]): Promise<void> => {
    for (let at = 0; at < keys.length; at += maxRead) {
      for (const outcome of await ledger.read(keys.slice(at, at + maxRead))) if (outcome) settle(outcome);
    }
  };
  const readBackOrLog = (keys: readonly string[]): void => {
    readBack(keys).catch((error: unknown) =>
      log.warn({ event: 'ledger.unread', err: error }, 'could not read the ledger back'),
    );
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
      else if ('run' in notice) onRun?.(notice);
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
    expect(key, what, leave) {
      const outcome = waitFor(key, what, expected, sweepMs);
      if (what !== 'new') readBackOrLog([key]);
      if (!leave) return outcome;
      leave.addEventListener('abort', outcome.forget, { once: true });
      return orAborted(outcome, leave).finally(() => leave.removeEventListener('abort', outcome.forget));
    },
    settle,
    stop: () => clearInterval(timer),
  };
}

/** What a dispatcher settles itself it knows at once. */
function measureLag({ settledBy, startedAt, durationMs = 0 }: Outcome, clock: Clock): void {
  if (settledBy !== 'worker' || startedAt === undefined) return;
  measure('callyard.notice.lag', secondsSince(startedAt + durationMs, clock.now()), {});
}

function waitFor(
  key: string,
  what: Expectation,
  expected: Map<string, Expected>,
  sweepMs: number,
): Promise<Outcome> & { forget: () => void } {
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  const pauses = what === 'attached' ? attached : { pauseMs: sweepMs, maxPauseMs: maxReadPauseMs };
  const waiting = (expected.get(key)?.waiting ?? new Set()).add(resolve);
  expected.set(key, { waiting, isNew: what === 'new', ...pauses, nextReadAt: performance.now() + pauses.pauseMs });
  const forget = () => {
    waiting.delete(resolve);
    if (waiting.size === 0 && expected.get(key)?.waiting === waiting) expected.delete(key);
  };
  return Object.assign(promise, { forget });
}
