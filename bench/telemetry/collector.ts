import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Collector {
  endpoint: string;
  stop(): void;
}

/** Takes everything and keeps nothing; with `hangs` it does not even answer. */
export async function startCollector({ hangs = false } = {}): Promise<Collector> {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (!hangs) response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, stop: () => server.close().closeAllConnections() };
}
