import type { CallPlace } from '@callyard/shared/call';

/** `runId.turn.index`, of a retried dead letter with `~1` and so on behind it. */
const callKeyPattern = /^([A-Za-z0-9_-]{1,128})\.(\d+)\.(\d+)(~\d+)?$/;

export function placeIn(key: string): CallPlace | undefined {
  const [, runId, turn, index] = callKeyPattern.exec(key) ?? [];
  return runId === undefined ? undefined : { runId, turn: Number(turn), index: Number(index) };
}

/** A key within what was given, such as the name of a Redis key, or what a key would be that has too few parts. */
export function nearestKey(given: string): string | undefined {
  const [within] = /[A-Za-z0-9_-]{1,128}\.\d+\.\d+(~\d+)?/.exec(given) ?? [];
  if (within !== undefined) return within;
  const [, runId, turn] = /([A-Za-z0-9_-]{2,128})\.(\d+)/.exec(given) ?? [];
  if (runId !== undefined) return `${runId}.${turn}.0`;
  return /[A-Za-z0-9_-]{8,128}/.exec(given)?.[0];
}
