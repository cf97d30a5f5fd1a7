import { randomBytes } from 'node:crypto';
import type { Dispatcher } from '@callyard/dispatcher';
import { mapLimit } from '../map-limit.ts';
import type { ReplayCase } from './cases.ts';
import { damagedCases, type DamageKind } from './mutate.ts';
import { DefinitionVersions } from './recorded-tools.ts';
import { replayModel } from './replay-model.ts';
import { runCalls, runCase, type CaseResult, type ReplayRunner } from './run-case.ts';
import { summarize, type ReplaySummary } from './summary.ts';

/** What became of the calls that `--mutate` damaged. */
export interface DamageSummary {
  damaged: number;
  /** damaged calls that came back with the code of their damage */
  rightCode: number;
  /** calls beside a damaged one that did not end as they do undamaged */
  siblingsHarmed: number;
  byKind: Partial<Record<DamageKind, { damaged: number; rightCode: number }>>;
}

export interface ReplayOptions {
  dispatcher: Dispatcher;
  cases: readonly ReplayCase[];
  /** cases under way at once */
  concurrency: number;
  /** told after each case */
  onProgress: (done: number, of: number) => void;
}

/** Drives every case through the dispatcher and its workers. */
export async function replay({ dispatcher, cases, concurrency, onProgress }: ReplayOptions): Promise<ReplaySummary> {
  const runner = createRunner(dispatcher, cases);
  const startedAt = performance.now();
  let done = 0;
  const results = await mapLimit(cases, concurrency, async (one) => {
    const result = await runCase(one, runner);
    onProgress(++done, cases.length);
    return result;
  });
  return summarize(results, performance.now() - startedAt);
}

/** Drives every case once for each way to damage one of its calls. */
export async function replayDamaged(options: ReplayOptions): Promise<ReplaySummary & DamageSummary> {
  const { dispatcher, cases, concurrency, onProgress } = options;
  const runner = createRunner(dispatcher, cases);
  const startedAt = performance.now();
  const whole = await mapLimit(cases, concurrency, (one) => runCase(one, runner));
  const sound = new Map(cases.map((one, i) => [one.id, whole[i]?.outcomes.map(({ status }) => status) ?? []]));
  const variants = cases.flatMap((one) => (one.kind === 'calls' ? damagedCases(one) : []));
  const damage: DamageSummary = { damaged: 0, rightCode: 0, siblingsHarmed: 0, byKind: {} };
  const results = await mapLimit(variants, concurrency, async ({ damaged, kind, at, expected }, i) => {
    const result = await runCalls(damaged, runner, `-m${i}`);
    const right = result.outcomes[at]?.error?.code === expected;
    count(damage, kind, right, harmed(result, at, sound.get(damaged.id) ?? []));
    onProgress(damage.damaged, variants.length);
    return result;
  });
  return { ...summarize(results, performance.now() - startedAt), ...damage };
}

/** Siblings that did not end as they do when nothing is damaged. */
const harmed = ({ outcomes }: CaseResult, at: number, sound: readonly string[]): number =>
  sound.filter((status, i) => i !== at && outcomes[i]?.status !== status).length;

function count(damage: DamageSummary, kind: DamageKind, right: boolean, siblingsHarmed: number): void {
  const ofKind = (damage.byKind[kind] ??= { damaged: 0, rightCode: 0 });
  ofKind.damaged += 1;
  damage.damaged += 1;
  ofKind.rightCode += Number(right);
  damage.rightCode += Number(right);
  damage.siblingsHarmed += siblingsHarmed;
}

function createRunner(dispatcher: Dispatcher, cases: readonly ReplayCase[]): ReplayRunner {
  const versions = new DefinitionVersions();
  // Numbered in the order of the file, as the workers do.
  for (const one of cases) if (one.kind === 'calls') for (const tool of one.tools) versions.versionOf(tool);
  return { dispatcher, model: replayModel(), versions, replayId: randomBytes(4).toString('hex') };
}
