import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { dataFile } from '@callyard/shared/config';
import { readCases } from '../../packages/cli/src/replay/cases.ts';
import { echoTools, recordedTools } from '../../packages/cli/src/replay/recorded-tools.ts';
import { replay, replayDamaged } from '../../packages/cli/src/replay/replay.ts';
import { setup } from '../support/setup.ts';

const folder = fileURLToPath(new URL('../../../shared/data/', import.meta.url));
const bfcl = dataFile('bfcl.jsonl', folder);
const airline = dataFile('tau-airline.jsonl', folder);
const airlineTools = dataFile('tau-airline.tools.json', folder);
const noData =
  existsSync(bfcl) && existsSync(airline)
    ? undefined
    : `no recorded calls in ${folder}; CALLYARD_DATA_DIR names their folder`;

const quietly = { concurrency: 32, onProgress: () => {} };

describe.skipIf(noData)(`recorded calls${noData === undefined ? '' : ` (${noData})`}`, { timeout: 60_000 }, () => {
  it('of BFCL all end in one outcome, in order, two faults of the data set refused', async () => {
    const { cases } = await readCases(bfcl);
    const yard = await setup();
    await yard.worker(echoTools(cases));
    const dispatcher = await yard.dispatcher();
    expect(await replay({ dispatcher, cases, ...quietly })).toMatchObject({
      cases: 1_000,
      calls: 1_747,
      completed: 1_745,
      refused: { invalid_arguments: 2 },
      failed: {},
      ordered: 1_000,
      lost: 0,
      duplicated: 0,
      conversationsEqual: 1_000,
    });
  });

  it('of an airline lead to the recorded conversations, message by message', async () => {
    const { cases } = await readCases(airline);
    const yard = await setup();
    await yard.worker(recordedTools(airlineTools, cases));
    const dispatcher = await yard.dispatcher();
    expect(await replay({ dispatcher, cases, ...quietly })).toMatchObject({
      cases: 100,
      calls: 577,
      completed: 577,
      ordered: 100,
      lost: 0,
      duplicated: 0,
      conversationsEqual: 100,
    });
  });

  it('damaged in turn come back with the right code while their siblings complete', async () => {
    const { cases } = await readCases(bfcl);
    const parallel = cases.filter((one) => one.kind === 'calls' && one.calls.length > 1).slice(0, 60);
    const yard = await setup();
    await yard.worker(echoTools(parallel));
    const dispatcher = await yard.dispatcher();
    const { damaged, rightCode, siblingsHarmed } = await replayDamaged({ dispatcher, cases: parallel, ...quietly });
    expect(damaged).toBeGreaterThan(400);
    expect(rightCode).toBe(damaged);
    expect(siblingsHarmed).toBe(0);
  });
});
