import { Redis } from 'ioredis';
import type { RunView } from '@callyard/dispatcher';
import { createNames } from '@callyard/shared/names';
import { effectsKey, faultsKey } from './effects.ts';
import { callsPerTurn, faultsIn, turns } from './script.ts';

/** What came of the runs of a soak, beside what its processes wrote down. */
export async function countSoak(redisUrl: string, prefix: string, runs: readonly RunView[]) {
  const redis = new Redis(redisUrl);
  const names = createNames(prefix);
  const effects = await redis.hgetall(effectsKey(prefix));
  const faults = await redis.hgetall(faultsKey(prefix));
  const outcomes = runs.flatMap((run) => run.outcomes);
  const texts = outcomes.length === 0 ? [] : await redis.mget(outcomes.map(({ key }) => names.outcome(key)));
  redis.disconnect();
  const times = (key: string) => Number(effects[key] ?? 0);
  const repeated = (tool: string) => outcomes.filter(({ key, call }) => call.name === tool && times(key) > 1).length;
  const ended = (code: string) => outcomes.filter(({ error }) => error?.code === code).length;
  const asked = Object.entries(effects).filter(([key]) => key.startsWith('ask '));
  return {
    runs: runs.length,
    calls: outcomes.length,
    notCompleted: runs.filter(({ state }) => state !== 'completed').length,
    wrongConversations: runs.flatMap(faultsIn),
    missingOutcomes: runs.length * turns * callsPerTurn - outcomes.length,
    takenOver: runs.filter(({ holds }) => holds > 1).length,
    /** where no response had been recorded */
    askedAgain: asked.filter(([, n]) => Number(n) > 1).length,
    recordedAskedAgain: Number(faults['recorded response asked for again'] ?? 0),
    /** by a call whose worker died before it settled */
    executedAgain: repeated('effect'),
    settledExecutedAgain: Number(faults['settled call executed again'] ?? 0),
    duplicatedAtMostOnce: repeated('effect_once'),
    outcomeUnknown: ended('outcome_unknown'),
    lost: ended('lost'),
    doubleOutcomes: outcomes.filter((outcome, i) => texts[i] && texts[i] !== JSON.stringify(outcome)).length,
    notInLedger: texts.filter((text) => text === null).length,
  };
}

export type SoakCount = Awaited<ReturnType<typeof countSoak>>;

/** Whether nothing is wrong: what was asked or executed again was not recorded, or settled. */
export const isSound = (counted: SoakCount): boolean =>
  counted.wrongConversations.length === 0 &&
  [
    counted.notCompleted,
    counted.missingOutcomes,
    counted.recordedAskedAgain,
    counted.settledExecutedAgain,
    counted.duplicatedAtMostOnce,
    counted.lost,
    counted.doubleOutcomes,
    counted.notInLedger,
  ].every((one) => one === 0);
