import { createAdmission } from '@callyard/shared/admission/admission';
import { createApprovalRequests } from '@callyard/shared/approvals';
import type { Audit } from '@callyard/shared/audit';
import { createCache } from '@callyard/shared/cache';
import type { WorkerEntry } from '@callyard/shared/catalog';
import type { Clock } from '@callyard/shared/clock';
import type { WorkerConfig } from '@callyard/shared/config';
import { createConversationStates } from '@callyard/shared/conversation-state';
import { createLedger } from '@callyard/shared/ledger';
import type { Names } from '@callyard/shared/names';
import { createRedactor } from '@callyard/shared/redact';
import type { Redis } from '@callyard/shared/redis';
import { createRunStore } from '@callyard/shared/runs/run-store';
import { startTally } from '@callyard/shared/tally';
import type { Tool } from '@callyard/shared/tool';
import type { ToolSet } from '@callyard/shared/tool-set';
import type { Logger } from 'pino';
import type { WorkerContext } from './attempt.ts';
import { createBlocks } from './blocks.ts';
import { createBreakers } from './breaker.ts';
import type { StuckHandlers } from './stuck.ts';
import { createTelling } from './telling.ts';

export interface ContextOptions {
  tools: readonly Tool[];
  toolSet: ToolSet;
  entry: WorkerEntry;
  config: WorkerConfig;
  redis: Redis;
  names: Names;
  clock: Clock;
  log: Logger;
  audit: Audit;
  stuck: StuckHandlers;
}

/** What the steps of a call need, made once for a worker. */
export function createContext(options: ContextOptions): WorkerContext {
  const { tools, toolSet, entry, config, redis, names, clock, log, audit, stuck } = options;
  return {
    id: entry.id,
    tools: toolSet,
    ...stores(redis, names, config),
    blocks: createBlocks(),
    breakers: createBreakers(log),
    clock,
    log,
    audit,
    redact: createRedactor({ keys: config.redactKeys }),
    limits: config,
    stuck,
    tally: startTally({ redis, names, clock, everyMs: config.heartbeatMs, isKnown: isServed(tools), log }),
    served: { since: 0 },
    telling: createTelling(createRunStore(redis, names), log),
  };
}

/** Where the steps of a call read and write. */
const stores = (redis: Redis, names: Names, { conversationTtlMs }: WorkerConfig) => ({
  ledger: createLedger(redis, names),
  admission: createAdmission(redis, names),
  approvals: createApprovalRequests(redis, names),
  cache: createCache(redis, names),
  states: createConversationStates(redis, names, conversationTtlMs),
});

function isServed(tools: readonly Tool[]): (name: string) => boolean {
  const served = new Set(tools.map(({ manifest }) => manifest.name));
  return (name) => served.has(name);
}
