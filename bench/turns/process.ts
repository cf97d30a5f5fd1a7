/* A process of the bench. Arguments: worker|dispatcher VARIANT REDIS_URL NAME [OTLP_ENDPOINT] */
import { startTelemetry } from '@callyard/shared/telemetry-start';
import { callyardTurns, startCallyardWorker } from './callyard.ts';
import { plainTurns, queueEventsTurns, startPlainWorker } from './plain.ts';
import type { RunOrder, RunReport, RunTurn, Variant } from './variants.ts';

const [role, variant, url = '', name = '', endpoint] = process.argv.slice(2) as [
  string,
  Variant,
  string?,
  string?,
  string?,
];

if (variant === 'callyard' && endpoint) startTelemetry({ serviceName: `bench-${role}`, endpoint });

if (role === 'worker') {
  await (variant === 'callyard' ? startCallyardWorker(url, name) : startPlainWorker(url, name));
} else {
  const starts = { plain: plainTurns, 'queue-events': queueEventsTurns, callyard: callyardTurns };
  const runTurn = await starts[variant](url, name);
  process.on('message', (order: RunOrder) => void run(order, runTurn).then((report) => process.send?.(report)));
}
process.on('disconnect', () => process.exit());
process.send?.('ready');

async function run({ turns, concurrency }: RunOrder, runTurn: RunTurn): Promise<RunReport> {
  const latenciesMs: number[] = [];
  let left = turns;
  const startedAt = performance.now();
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const at = performance.now();
      await runTurn();
      latenciesMs.push(performance.now() - at);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  return { elapsedMs: performance.now() - startedAt, latenciesMs };
}
