import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { metrics } from '@opentelemetry/api';
import { onTestFinished } from 'vitest';
import { startMetrics } from '@callyard/shared/metrics-start';
import { scrape, type Scraped } from './scrape.ts';

/** Collects what is counted in this process, until the test ends; reads it as Prometheus does. */
export async function collecting(): Promise<() => Promise<Scraped>> {
  const { show, shutdown } = await startMetrics({ serviceName: 'test' });
  const server = createServer(show).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(async () => {
    metrics.disable();
    server.close();
    await shutdown();
  });
  return () => scrape((server.address() as AddressInfo).port);
}
