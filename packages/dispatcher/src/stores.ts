import { createAdmission, type Admission } from '@callyard/shared/admission/admission';
import type { Clock } from '@callyard/shared/clock';
import type { DispatcherConfig } from '@callyard/shared/config';
import { createControl, type Control } from '@callyard/shared/control';
import { createConversationStates, type ConversationStates } from '@callyard/shared/conversation-state';
import { createLedger, type Ledger } from '@callyard/shared/ledger';
import type { Names } from '@callyard/shared/names';
import { createCallQueues, createRunsQueue, type CallQueues, type RunsQueue } from '@callyard/shared/queue';
import { connectUnrepeated, type Redis } from '@callyard/shared/redis';
import { createRunStore, type RunStore } from '@callyard/shared/runs/run-store';
import { createTokenBudget, type TokenBudget } from '@callyard/shared/token-budget';

/** What a dispatcher keeps in Redis, over one connection. */
export interface Stores {
  queues: CallQueues;
  runsQueue: RunsQueue;
  ledger: Ledger;
  /** the records of durable runs */
  store: RunStore;
  admission: Admission;
  control: Control;
  /** what users have spent of `tokensPerDay` */
  tokens: TokenBudget;
  /** of conversations */
  states: ConversationStates;
}

export function openStores(
  redis: Redis,
  names: Names,
  clock: Clock,
  { conversationTtlMs }: Pick<DispatcherConfig, 'conversationTtlMs'>,
): Stores {
  return {
    queues: createCallQueues(redis, names, connectUnrepeated(redis, 'enqueue')),
    runsQueue: createRunsQueue(redis, names),
    ledger: createLedger(redis, names),
    store: createRunStore(redis, names),
    admission: createAdmission(redis, names),
    control: createControl(redis, names),
    tokens: createTokenBudget(redis, names, clock),
    states: createConversationStates(redis, names, conversationTtlMs),
  };
}
