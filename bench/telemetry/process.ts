/* A process of the bench. Arguments: worker|dispatcher VARIANT REDIS_URL PREFIX OTLP_ENDPOINT */
import { startMetrics } from '@callyard/shared/metrics-start';
import { startTelemetry } from '@callyard/shared/telemetry-start';
import { callyardTurns, startCallyardWorker } from '../turns/callyard.ts';
import { runTurns } from '../turns/run-turns.ts';
import { variants, type CpuReport, type Order } from './variants.ts';

const [role, variantName, url = '', prefix = '', endpoint = ''] = process.argv.slice(2);
const variant = variants.find(({ name }) => name === variantName);
if (!variant) throw new Error(`no variant ${variantName}`);
const { sampled, metrics } = variant;

if (metrics) {
  const serviceName = `bench-${role}`;
  await startMetrics({ serviceName });
  startTelemetry({ serviceName, endpoint: sampled === undefined ? '' : endpoint });
}

const cpu = (): CpuReport => {
  const { user, system } = process.cpuUsage();
  return { cpuMicros: user + system };
};

const runTurn = role === 'dispatcher' ? await callyardTurns(url, prefix) : undefined;
if (!runTurn) await startCallyardWorker(url, prefix);
process.on('message', (order: Order) => {
  if ('cpu' in order) process.send?.(cpu());
  else if (runTurn) void runTurns(order, runTurn).then((report) => process.send?.(report));
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
