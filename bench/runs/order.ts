import type { UserMessage } from '@callyard/dispatcher';

/* What the bench of runs and its processes share. */

export interface RunsOrder {
  kind: 'memory' | 'durable';
  runs: number;
  concurrency: number;
}

export const principal = { owner: 'bench', userId: 'bench' };
export const question: UserMessage = { role: 'user', content: 'What will the weather be?' };
