import { scriptedModel, type AssistantMessage, type Model, type ModelRequest } from '@callyard/dispatcher';

/** What the recorded model says, for many runs at once: each run brings its own lines. */
export interface ReplayModel {
  model: Model;
  /** Sets what the model answers in this run, one line a turn. */
  script(runId: string, lines: readonly AssistantMessage[]): void;
  forget(runId: string): void;
}

export function replayModel(): ReplayModel {
  const scripts = new Map<string, readonly AssistantMessage[]>();
  const say = ({ runId, turn }: ModelRequest): AssistantMessage => {
    const line = scripts.get(runId)?.[turn];
    if (!line) throw new Error(`nothing is recorded for turn ${turn} of run ${runId}`);
    return line;
  };
  return {
    model: scriptedModel(say, { name: 'recorded' }),
    script: (runId, lines) => void scripts.set(runId, lines),
    forget: (runId) => void scripts.delete(runId),
  };
}
