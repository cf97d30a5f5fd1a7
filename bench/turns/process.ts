/* A process of the bench. Arguments: worker|dispatcher VARIANT REDIS_URL NAME [OTLP_ENDPOINT] */
import { startTelemetry } from '@callyard/shared/telemetry-start';
import { callyardTurns, startCallyardWorker } from './callyard.ts';
import { plainTurns, queueEventsTurns, startPlainWorker } from './plain.ts';
import { runTurns } from './run-turns.ts';
import type { RunOrder, Variant } from './variants.ts';

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
  process.on('message', (order: RunOrder) => void runTurns(order, runTurn).then((report) => process.send?.(report)));
}
process.on('disconnect', () => process.exit());
process.send?.('ready');
