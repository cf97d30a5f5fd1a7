import type { RunEventBody } from '@callyard/shared/runs/run-event';
import type { RunFence, RunStore } from '@callyard/shared/runs/run-store';
import type { Logger } from 'pino';
import type { Model } from '../model.ts';

/** Text is told in pieces of this time: a reader sees it flow, and Redis gets 20 writes a second. */
const deltaPauseMs = 50;

/** A model whose answers are told as they come, to whoever reads the events of the run. */
export function tellingModel(
  model: Model,
  { runId, fence }: RunFence,
  isWatched: () => boolean,
  store: Pick<RunStore, 'emit'>,
  log: Logger,
): Model {
  const tell = async (event: RunEventBody): Promise<void> => {
    if (!isWatched()) return;
    await store
      .emit(runId, [event], fence)
      .catch((error: unknown) =>
        log.warn({ event: 'run.event_unwritten', err: error, run_id: runId }, 'an event could not be written'),
      );
  };
  return {
    name: model.name,
    provider: model.provider,
    async ask(request) {
      const { turn } = request;
      let told = tell({ type: 'model.started', turn });
      const deltas = collect((text) => (told = tell({ type: 'model.delta', turn, text })));
      try {
        return await model.ask({
          ...request,
          onDelta(delta) {
            if ('text' in delta) return deltas.add(delta.text);
            deltas.drop();
            told = tell({ type: 'model.started', turn });
          },
        });
      } finally {
        deltas.flush();
        await told; // all of it before the response, which is told as it is recorded
      }
    },
  };
}

function collect(tell: (text: string) => unknown) {
  let text = '';
  let timer: NodeJS.Timeout | undefined;
  const drop = () => {
    clearTimeout(timer);
    timer = undefined;
    text = '';
  };
  const flush = () => {
    const collected = text;
    drop();
    if (collected !== '') tell(collected);
  };
  return {
    add(more: string) {
      text += more;
      timer ??= setTimeout(flush, deltaPauseMs);
    },
    drop,
    flush,
  };
}
