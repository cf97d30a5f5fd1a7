import type { Admission } from '@callyard/shared/admission/admission';
import type { Audit } from '@callyard/shared/audit';
import type { Clock } from '@callyard/shared/clock';
import type { DeadJobs } from '@callyard/shared/dead-jobs';
import type { Ledger } from '@callyard/shared/ledger';
import type { Names } from '@callyard/shared/names';
import type { CallQueues } from '@callyard/shared/queue';
import type { Redis } from '@callyard/shared/redis';
import type { Logger } from 'pino';
import type { LimitOptions } from './call-limits.ts';
import type { Gather } from './gather.ts';
import type { LiveTools } from './live-tools.ts';

/** What dead letters need of a dispatcher. */
export interface DeadParts {
  redis: Redis;
  names: Names;
  queues: CallQueues;
  ledger: Ledger;
  admission: Admission;
  letters: DeadJobs;
  gather: Gather;
  live: LiveTools;
  clock: Clock;
  log: Logger;
  audit: Audit;
  dispatcher: string;
  limits: LimitOptions;
}
