import type { Envelope } from '../call.ts';
import type { Names } from '../names.ts';
import { scriptInTransaction } from '../redis.ts';

/** Why calls were not enqueued: another dispatcher has the run, nobody can have it any more, or it is cancelled. */
export type GateAnswer = 'stale' | 'gone' | 'cancelled';

const gateScript = scriptInTransaction('./gate-1.lua', import.meta.url);
const ungateScript = scriptInTransaction('./ungate-1.lua', import.meta.url);

/** To be defined on the connection. */
export const gateScripts = [gateScript, ungateScript];

/** As much of a transaction as joining it needs. */
interface Transaction {
  runCommand(name: string, args: unknown[]): unknown;
}

export interface GatedJob {
  envelope: Pick<Envelope, 'runId' | 'turn' | 'index'>;
  fence?: string | undefined;
}

/** The first thing in a transaction that adds calls of durable runs: where a run may not go on, none of its jobs is added. */
export function openGate(transaction: Transaction, { tag }: Names, pool: string, jobs: readonly GatedJob[]): void {
  const runs = [...Map.groupBy(jobs, (job) => job.envelope.runId)].map(([runId, ofRun]) => [
    runId,
    ofRun[0]?.fence,
    ofRun.map(({ envelope }) => `${envelope.turn}.${envelope.index}`),
  ]);
  void transaction.runCommand(gateScript.name, [1, tag, pool, JSON.stringify(runs)]);
}

/** The last thing in it. */
export function closeGate(transaction: Transaction, { tag }: Names, pool: string): void {
  void transaction.runCommand(ungateScript.name, [1, tag, pool]);
}

/** What the gate said, by run: nothing of those that went through. */
export function readGate(jobs: readonly GatedJob[], answer: unknown): Map<string, GateAnswer> {
  const runs = new Set(jobs.map(({ envelope }) => envelope.runId));
  const said = answer as (GateAnswer | '')[];
  return new Map([...runs].flatMap((runId, i) => (said[i] ? [[runId, said[i]] as const] : [])));
}
