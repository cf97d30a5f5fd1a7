import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to Redis on which whoever listens to channels hears nothing from `deafen` on, and is not told so. */
export interface DeafProxy {
  readonly url: string;
  deafen(): void;
  stop(): void;
}

export async function startDeafProxy(redisUrl: string): Promise<DeafProxy> {
  const { hostname, port } = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let isDeaf = false;
  const server = createServer((client) => {
    const redis = connect(Number(port), hostname);
    let listens = false;
    for (const socket of [client, redis]) sockets.add(socket.on('error', () => socket.destroy()));
    client.on('data', (data) => {
      listens ||= /\r\nsubscribe\r\n/i.test(data.toString('latin1'));
      redis.write(data);
    });
    redis.on('data', (data) => {
      if (!(isDeaf && listens)) client.write(data);
    });
    redis.on('close', () => client.destroy());
    client.on('close', () => redis.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    deafen: () => void (isDeaf = true),
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
