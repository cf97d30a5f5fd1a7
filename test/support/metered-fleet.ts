import { freePort } from './scrape.ts';
import { play } from './played-model.ts';
import { principal, setup } from './setup.ts';
import { dispatcherProcesses, workerProcesses } from './worker-process.ts';

const tools = './metered-tools.ts';

/** One dispatcher process and workers that show their metrics, and a client here that does none of the work. */
export async function meteredFleet(workers = 2, settings: Record<string, string> = {}, ofWorkers = tools) {
  const yard = await setup();
  const ports = await Promise.all(Array.from({ length: workers + 1 }, freePort));
  const shown = (port = 0) => ({ CALLYARD_METRICS_PORT: String(port), CALLYARD_METRICS_HOST: '127.0.0.1' });
  const [port, ...workerPorts] = ports;
  const [dispatchers, ...started] = await Promise.all([
    dispatcherProcesses(yard, 1, { ...shown(port), ...settings }),
    ...workerPorts.map((one) => workerProcesses(yard, 1, shown(one), ofWorkers)),
  ]);
  const client = await yard.dispatcher();
  await client.waitForTools([ofWorkers === tools ? 'echo' : 'nap']);
  const submit = async (lines: Parameters<typeof play>, user = principal.userId) =>
    (await client.submit({ messages: play(...lines), principal: { ...principal, userId: user }, model: 'played' }))
      .runId;
  const run = async (lines: Parameters<typeof play>, user = principal.userId) =>
    client.wait(await submit(lines, user), { owner: principal.owner, signal: AbortSignal.timeout(15_000) });
  return { yard, client, ports, workerPorts, workers: started.flat(), dispatchers, submit, run };
}
