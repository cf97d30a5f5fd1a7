import { otherTool, measureWaits } from '@callyard/shared/call-metrics';
import type { WorkerEntry } from '@callyard/shared/catalog';
import { count, measure, watch } from '@callyard/shared/metrics';
import { Interruption, type Attempt, type Verdict, type WorkerContext } from './attempt.ts';
import { classifyError } from './classify.ts';
import type { HeldJobs } from './held-jobs.ts';

/** Runs an attempt of a handler, and measures it. */
export async function measuredAttempt<T>(tool: string, attempt: () => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  const end = (type?: string) =>
    measure('gen_ai.execute_tool.duration', since(startedAt), { 'gen_ai.tool.name': tool, 'error.type': type });
  try {
    const result = await attempt();
    end();
    return result;
  } catch (error) {
    end(error instanceof Interruption ? error.kind : classifyError(error).code);
    throw error;
  }
}

/** Runs what a pick-up of a call does, and measures it, and what the call waited for until then. */
export async function measuredPickUp(
  queue: string,
  { envelope, ended }: Attempt,
  worker: WorkerContext,
  work: () => Promise<Verdict>,
): Promise<Verdict> {
  const startedAt = performance.now();
  const at = { 'messaging.destination.name': queue };
  count('messaging.client.consumed.messages', at);
  measureWaits(ended, envelope);
  if (ended.some(({ reason }) => reason === 'lost'))
    count('callyard.calls.lost', { 'gen_ai.tool.name': toolLabel(envelope, worker) });
  const end = (type?: string) => measure('messaging.process.duration', since(startedAt), { ...at, 'error.type': type });
  try {
    const verdict = await work();
    end(errorOf(verdict));
    return verdict;
  } catch (error) {
    end('_OTHER'); // Redis refused what the call needs, say
    throw error;
  }
}

/** Shows how much of a worker is in use, until the function that is returned is called. */
export function watchSlots({ pool, slots }: WorkerEntry, held: Pick<HeldJobs, 'count'>): () => void {
  const stops = [
    watch('callyard.worker.slots', () => [{ value: slots, labels: { pool } }]),
    watch('callyard.worker.calls', () => [{ value: held.count, labels: { pool } }]),
  ];
  return () => stops.forEach((stop) => stop());
}

/** What metrics call the tool of a call: nothing from outside becomes a label. */
const toolLabel = ({ tool }: Attempt['envelope'], { tools }: WorkerContext): string =>
  tools.resolve(tool) ? tool.name : otherTool;

function errorOf(verdict: Verdict): string | undefined {
  if (verdict.kind === 'settled') return verdict.outcome.error?.code;
  return 'error' in verdict ? verdict.error?.code : undefined;
}

const since = (startedAt: number): number => (performance.now() - startedAt) / 1_000;
