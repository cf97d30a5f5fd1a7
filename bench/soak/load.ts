import { OfferError, RunError, type Dispatcher, type RunView } from '@callyard/dispatcher';
import { modelName, question, tools } from './script.ts';

const principal = { owner: 'soak', userId: 'soak' };

export interface SoakLoad {
  runs: RunView[];
  /** when each ended, on this process's clock */
  endedAt: number[];
  /** ends without a run, by what was said: only where Redis forgets */
  gone: Record<string, number>;
}

/** Keeps so many runs under way until the time is over, and waits for those that were begun. */
export async function keepBusy(dispatcher: Dispatcher, atOnce: number, stopAt: number): Promise<SoakLoad> {
  const load: SoakLoad = { runs: [], endedAt: [], gone: {} };
  let next = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < stopAt) {
      try {
        load.runs.push(await runOnce(dispatcher, next++));
        load.endedAt.push(performance.now());
      } catch (error) {
        const why = refusalIn(error);
        load.gone[why] = (load.gone[why] ?? 0) + 1;
        if (error instanceof OfferError) await dispatcher.waitForTools(tools);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, lane));
  return load;
}

/** Redis has lost the run, or does not know the tools yet. */
function refusalIn(error: unknown): string {
  if (error instanceof RunError) return error.code;
  if (error instanceof OfferError) return 'no tools';
  throw error;
}

async function runOnce(dispatcher: Dispatcher, number: number): Promise<RunView> {
  const asked = { messages: [question(number)], principal, model: modelName, tools };
  const { runId } = await dispatcher.submit(asked);
  return dispatcher.wait(runId, { owner: principal.owner });
}
