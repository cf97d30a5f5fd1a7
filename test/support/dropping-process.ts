/* A process with more spans than its collector takes. Arguments: OTLP_ENDPOINT PORT; says when its metrics are there. */
import { createServer } from 'node:http';
import { startMetrics } from '@callyard/shared/metrics-start';
import { inCallsSpan } from '@callyard/shared/telemetry';
import { startTelemetry } from '@callyard/shared/telemetry-start';

const [endpoint = '', port = ''] = process.argv.slice(2);
const { show } = await startMetrics({ serviceName: 'dropping' });
startTelemetry({ serviceName: 'dropping', endpoint });
const principal = { owner: 'acme', userId: 'mia', roles: [], permissions: [] };
for (let i = 0; i < 20_000; i++)
  await inCallsSpan({ runId: `r${i}`, conversationId: undefined, principal }, async () => []);
createServer(show).listen(Number(port), '127.0.0.1', () => process.send?.('listening'));
