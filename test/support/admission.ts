import { createAdmission, type Told } from '@callyard/shared/admission/admission';
import { admissionCall, type AdmissionCall } from '@callyard/shared/admission/admission-call';
import type { ResolvedLimit } from '@callyard/shared/admission/resolved-limit';
import type { Envelope } from '@callyard/shared/call';
import { createLedger } from '@callyard/shared/ledger';
import { createCallQueues } from '@callyard/shared/queue';
import { onTestFinished } from 'vitest';
import { holdScriptClock, type ScriptClock } from './script-clock.ts';
import { setup } from './setup.ts';
import { plainOutcome } from './outcome.ts';

export const pool = 'p1';

/** Limits as resolved ones, each of its own bucket unless named. */
export const rate = (
  limit: number,
  periodMs: number,
  burst = limit,
  more: Partial<ResolvedLimit> = {},
): ResolvedLimit => ({
  bucket: 'r:1',
  per: ['user'],
  cost: 1,
  rate: { limit, periodMs, burst },
  ...(more as object),
});
export const concurrency = (most: number, more: Partial<ResolvedLimit> = {}): ResolvedLimit => ({
  bucket: 'c:1',
  per: ['user'],
  cost: 1,
  concurrency: most,
  ...(more as object),
});
export const quota = (limit: number, windowMs: number, more: Partial<ResolvedLimit> = {}): ResolvedLimit => ({
  bucket: 'q:1',
  per: ['user'],
  cost: 1,
  quota: { limit, windowMs },
  ...(more as object),
});

export interface Asked {
  user?: string;
  limits?: ResolvedLimit[];
  class?: Envelope['class'];
  weight?: number;
  deadlineMs?: number;
  takeover?: boolean;
  upstream?: string;
}

/**
 * Admission on real Redis and real BullMQ jobs, without workers: a test is the worker, so that it sees each decision.
 */
export async function admissionBench(slots: number, { ownClock = false } = {}) {
  const yard = await setup();
  const { redis, names } = yard;
  const clock = ownClock ? await holdScriptClock(redis, names) : undefined;
  const queues = createCallQueues(redis, names);
  const ledger = createLedger(redis, names);
  const admission = createAdmission(redis, names);
  const bull = (part: string) => `${names.tag}:calls-${pool}:${part}`;
  const calls = new Map<string, AdmissionCall>();
  const sent = new Map<string, Envelope>();
  onTestFinished(() => queues.close());

  const setSlots = async (count: number): Promise<void> => {
    await redis.del(names.workers);
    const entry = { id: 'w1', pool, slots: count, host: 'h', pid: 1, startedAt: 1 };
    await redis.zadd(names.workers, Number.MAX_SAFE_INTEGER, JSON.stringify(entry));
    await admission.sweep('w1', 60_000, true);
  };
  await setSlots(slots);

  const envelope = async (key: string, asked: Asked): Promise<Envelope> => {
    const { user = 'mia', limits = [], deadlineMs = 60_000, weight = 1, upstream = 'x:1' } = asked;
    const principal = { owner: 'acme', userId: user, roles: [], permissions: [] };
    const now = clock?.now() ?? Number((await redis.time())[0]) * 1_000;
    return {
      v: 1,
      key,
      of: 1,
      runId: key,
      turn: 0,
      index: 0,
      owner: 'acme',
      principal,
      call: { id: 'c', name: 't', arguments: '{}' },
      tool: { name: 't', version: '1.0.0', range: '^1.0.0', schemaHash: '' },
      class: asked.class ?? 'interactive',
      limits,
      lane: { weight, upstream },
      idempotencyKey: key,
      ...(asked.takeover ? { takeover: true } : {}),
      deadlineAt: Math.ceil(now) + deadlineMs,
      replyTo: '',
      enqueuedAt: 1,
    };
  };

  const bench = {
    ...yard,
    admission,
    queues,
    ledger,
    setSlots,
    bull,
    /** of a bench with a clock of its own */
    clock: clock as ScriptClock,
    call: (key: string) => calls.get(key) as AdmissionCall,
    envelope: (key: string) => sent.get(key) as Envelope,
    /** Adds calls in one transaction, in order. */
    async add(keys: readonly string[], asked: Asked = {}): Promise<void> {
      const envelopes = await Promise.all(keys.map((key) => envelope(key, asked)));
      for (const one of envelopes) {
        calls.set(one.key, admissionCall(one, pool) as AdmissionCall);
        sent.set(one.key, one);
      }
      await Promise.all(envelopes.map((one) => queues.add(pool, { envelope: one, carrier: undefined })));
    },
    withdraw: (key: string) => queues.withdraw(pool, sent.get(key) as Envelope),
    /** keys in BullMQ's wait, the next to be picked up first */
    waiting: async () => (await redis.lrange(bull('wait'), 0, -1)).toReversed(),
    parked: () => redis.zrange(bull('delayed'), '0', '-1'),
    /** calls that hold something */
    out: async () => (await redis.hkeys(`${names.tag}:out:${pool}`)).toSorted(),
    /** what admission said of a call: null when nothing */
    said: async (key: string) => {
      const progress = await redis.hget(bull(key), 'progress');
      return progress?.startsWith('{') ? (JSON.parse(progress) as { admission?: object }).admission : undefined;
    },
    /** A worker picks up the next job in `wait`. */
    async pickUp(): Promise<string> {
      const key = await redis.rpoplpush(bull('wait'), bull('active'));
      if (key === null) throw new Error('nothing waits');
      await redis.set(`${bull(key)}:lock`, 'token');
      return key;
    },
    /** Its worker settles a call, started unless said. */
    async settle(key: string, started = true): Promise<void> {
      const one = plainOutcome(key);
      const admitted = { call: calls.get(key) as AdmissionCall, started };
      const job = { pool, token: 'token' };
      await ledger.settle({ outcome: one, text: JSON.stringify(one), ttlMs: 60_000, replyTo: '', job, admitted }).done;
      await redis.lrem(bull('active'), 1, key);
      await redis.del(bull(key), `${bull(key)}:lock`);
    },
    /** Its worker dies, and somebody removes the job. */
    lose: async (key: string) => {
      await redis.lrem(bull('active'), 1, key);
      await redis.del(bull(key), `${bull(key)}:lock`);
    },
    /** BullMQ gives a delayed job to a worker whose time has come. */
    async comeDue(key: string): Promise<void> {
      await redis.zrem(bull('delayed'), key);
      await redis.lpush(bull('active'), key);
      await redis.set(`${bull(key)}:lock`, 'token');
    },
    /** A fresh installation in place of this one. */
    async reset(count: number): Promise<void> {
      const left = await redis.keys(`${names.tag}:*`);
      if (left.length > 0) await redis.del(left);
      if (clock) await clock.set(clock.now());
      await setSlots(count);
    },
    async tell(key: string): Promise<Told> {
      const { about, lane } = calls.get(key) as AdmissionCall;
      return admission.ask(about.l, [lane]);
    },
  };
  return bench;
}

export type AdmissionBench = Awaited<ReturnType<typeof admissionBench>>;

export const keys = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}.0.0`);
