import { randomUUID } from 'node:crypto';
import { createLedger } from '@callyard/shared/ledger';
import { createRunsQueue, type SubmitAnswer, type SubmitWrite } from '@callyard/shared/queue';
import { createRunStore, type Held, type RunStore } from '@callyard/shared/runs/run-store';
import { durableRunRecord, readHistory } from '../../packages/dispatcher/src/durable/durable-record.ts';
import type { Message } from '../../packages/dispatcher/src/model.ts';
import type { RunRecord } from '../../packages/dispatcher/src/run-record.ts';
import type { Callyard } from './setup.ts';

const owner = 'acme';
const minuteMs = 60_000;

/** Runs in Redis without a dispatcher: a test submits and holds them itself. */
export interface RunsInRedis {
  store: RunStore;
  submit(messages: readonly Message[], own?: Partial<SubmitWrite>): Promise<{ runId: string; answer: SubmitAnswer }>;
  /** as a dispatcher that BullMQ has given the job */
  hold(runId: string, dispatcher?: string): Promise<Held>;
  record(runId: string, held: Held): Promise<RunRecord>;
  close(): Promise<void>;
}

export function runsInRedis({ redis, names }: Pick<Callyard, 'redis' | 'names'>): RunsInRedis {
  const store = createRunStore(redis, names);
  const queue = createRunsQueue(redis, names);
  const ledger = createLedger(redis, names);
  return {
    store,
    async submit(messages, own = {}) {
      const runId = own.runId ?? randomUUID();
      const { fields, ...rest } = own;
      const answer = await queue.submit({
        runId,
        ofKey: undefined,
        model: 'm',
        ttlMs: minuteMs,
        deadlineAt: Date.now() + minuteMs,
        conversation: undefined,
        onBusy: 'wait',
        maxConversationBytes: 1_000_000,
        bytes: 0,
        fields: { v: '1', owner, body: 'b', fence: '0', messages: JSON.stringify(messages), ...fields },
        ...rest,
      });
      return { runId, answer };
    },
    async hold(runId, dispatcher = 'd1') {
      await redis.set(`${names.tag}:runs:${runId}:lock`, dispatcher);
      return store.hold(runId, dispatcher, dispatcher);
    },
    async record(runId, held) {
      if (held.kind !== 'held') throw new Error(`not held: ${held.kind}`);
      return durableRunRecord({
        store,
        hold: { runId, fence: held.fence },
        history: await readHistory(held.fields, held.before, ledger),
        before: held.before.length,
        offered: async () => [],
        spent: () => ({ key: `${names.tag}:spent`, ttlMs: minuteMs }),
        outcomeTtlMs: () => minuteMs,
        keepMs: minuteMs,
        conversationTtlMs: minuteMs,
      });
    },
    close: () => queue.close(),
  };
}
