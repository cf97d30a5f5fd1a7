/* npm run bench -- [turns|memory|admission|cancel|runs|telemetry] [--runs 5] [--only 6,8] [--json] */
import { parseArgs } from 'node:util';
import { givenRedisUrl } from '@callyard/shared/config';
import { startLocalRedis } from '../packages/cli/src/local-redis/index.ts';
import type { BenchOptions } from './options.ts';
import { benchAdmission } from './admission/admission.ts';
import { benchCancel } from './cancel/cancel.ts';
import { benchMemory } from './memory/memory.ts';
import { benchRuns } from './runs/runs.ts';
import { benchTelemetry } from './telemetry/telemetry.ts';
import { benchTurns } from './turns/turns.ts';

const benches: Record<string, (options: BenchOptions) => Promise<void>> = {
  turns: benchTurns,
  memory: benchMemory,
  admission: benchAdmission,
  runs: benchRuns,
  cancel: benchCancel,
  telemetry: benchTelemetry,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    runs: { type: 'string', default: '5' },
    only: { type: 'string', default: '' },
  },
});
const unknown = positionals.filter((name) => !(name in benches));
if (unknown.length > 0) {
  console.error(`no bench ${unknown.join(', ')}; there are: ${Object.keys(benches).join(', ')}`);
  process.exit(2);
}
const only = values.only.split(',').filter(Boolean).map(Number);
const redis = await startLocalRedis({ url: givenRedisUrl(), log: (line) => console.error(line) });
const options = { redisUrl: redis.url, runs: Number(values.runs), json: values.json, only };
for (const name of positionals.length > 0 ? positionals : Object.keys(benches)) await benches[name]?.(options);
await redis.stop();
