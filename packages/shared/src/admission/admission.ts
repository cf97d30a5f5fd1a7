import type { Names } from '../names.ts';
import { loadScript, scriptInTransaction, type Redis } from '../redis.ts';
import { laneText, type AdmissionCall } from './admission-call.ts';

/** What becomes due: `other` where another worker has the pump. */
export type Due = { at: number } | 'idle' | 'other';

/** What limits leave at the moment, in the order they were asked about. */
export interface Told {
  /** Redis time, ms */
  now: number;
  /** calls in the lanes asked about */
  waiting: number;
  limits: {
    /** what may start now; a block has no number */
    remaining?: number;
    /** one that costs 1 may not start now */
    full?: true;
    /** when it may, if that is known, ms */
    at?: number;
    /** calls that hold a concurrency limit */
    running?: number;
    /** when the window of a quota turns, ms */
    turnsAt?: number;
  }[];
}

/** Messages of the admission channel. */
export type AdmissionNews = { due: number } | { blocked: string; until: number };

/** How a call stops without an outcome: `again` keeps its place before the equal calls that wait for it. */
export type Stop = 'unstarted' | 'started' | 'again';

const stops = { unstarted: 0, started: 1, again: 2 } as const satisfies Record<Stop, number>;

/** Admission as processes ask for it; the decisions are in the Lua files beside. */
export interface Admission {
  /** Calls that may not start now and whose jobs are delayed: to the head of their lanes. */
  enterAgain(pool: string, calls: readonly AdmissionCall[]): Promise<void>;
  /** Gives back what a call holds and takes it out of its lane. */
  leave(call: AdmissionCall, stop: Stop): Promise<void>;
  /** Has a call whose job is delayed wait for the result of an equal one, but no longer than `againMs`. */
  follow(call: AdmissionCall, againMs: number): Promise<void>;
  /** Blocks a bucket; resolves with the time at which it opens. */
  block(bucket: string, ms: number): Promise<number>;
  ask(limits: AdmissionCall['about']['l'], lanes: readonly string[]): Promise<Told>;
  /** Grants what has come due. */
  pump(worker: string): Promise<Due>;
  /** Takes or keeps the pump, counts slots, reaps the dead; `force` counts slots whoever has the pump. */
  sweep(worker: string, pumpMs: number, force?: boolean): Promise<Due>;
}

/** Runs in one transaction with the insert of the jobs. */
export const enterScript = scriptInTransaction('./enter-1.lua', import.meta.url);

const enterAlone = loadScript('./enter-1.lua', import.meta.url);
const leaveScript = loadScript('./leave-1.lua', import.meta.url);
const followScript = loadScript('./follow-1.lua', import.meta.url);
const blockScript = loadScript('./block-1.lua', import.meta.url);
const askScript = loadScript('./ask-1.lua', import.meta.url);
const pumpScript = loadScript('./pump-1.lua', import.meta.url);
const sweepScript = loadScript('./sweep-1.lua', import.meta.url);

/** The arguments of enter-1.lua after its key. */
export function enterArguments(
  pool: string,
  calls: readonly AdmissionCall[],
  how: 'new' | 'gated' | 'again',
): string[] {
  const lanes = Object.fromEntries(calls.map(({ lane, about }) => [lane, about]));
  const given = calls.map((call) => [laneText(call), call.lane, call.takeover ? 1 : 0]);
  return [pool, JSON.stringify({ lanes, calls: given }), how];
}

export function createAdmission(redis: Redis, { tag }: Names): Admission {
  return {
    async enterAgain(pool, calls) {
      await enterAlone(redis, [tag], enterArguments(pool, calls, 'again'));
    },
    async leave(call, stop) {
      const left = [call.key, call.lane, laneText(call), stops[stop]];
      await leaveScript(redis, [tag], [call.about.p, JSON.stringify([left])]);
    },
    async follow({ key, about, cacheId }, againMs) {
      await followScript(redis, [tag], [about.p, key, cacheId, againMs]);
    },
    block: async (bucket, ms) => Number(await blockScript(redis, [tag], [bucket, Math.max(1, Math.ceil(ms))])),
    async ask(limits, lanes) {
      const told = JSON.parse((await askScript(redis, [tag], [JSON.stringify({ limits, lanes })])) as string) as Told;
      return { ...told, limits: limits.length === 0 ? [] : told.limits };
    },
    pump: async (worker) => readDue(await pumpScript(redis, [tag], [worker])),
    sweep: async (worker, pumpMs, force = false) =>
      readDue(await sweepScript(redis, [tag], [worker, pumpMs, force ? '1' : '0'])),
  };
}

function readDue(answer: unknown): Due {
  if (answer === '') return 'other';
  return answer === 'idle' ? 'idle' : { at: Number(answer) };
}
