import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

/** A way to Redis that lets a given number of commands through and then does harm before the next. */
export interface Proxy {
  readonly url: string;
  /** commands since `arm` */
  readonly count: number;
  /** From now on this many commands go through; then `harm`, and silence. */
  arm(commands: number, harm: () => void): void;
  stop(): void;
}

export async function startProxy(redisUrl: string): Promise<Proxy> {
  const { hostname, port } = new URL(redisUrl);
  const sockets = new Set<Socket>();
  let count = 0;
  let most = Number.POSITIVE_INFINITY;
  let harm = () => {};
  const pass = (): boolean => {
    if (count >= most) return false;
    count += 1;
    if (count === most) setImmediate(harm); // once the command is on its way
    return true;
  };
  const server = createServer((client) => {
    const redis = connect(Number(port), hostname);
    for (const socket of [client, redis]) sockets.add(socket.on('error', () => socket.destroy()));
    redis.on('data', (data) => client.write(data)).on('close', () => client.destroy());
    forwardCommands(client, redis, pass);
    client.on('close', () => redis.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get count() {
      return count;
    },
    arm(commands, doHarm) {
      [count, most, harm] = [0, commands, doHarm];
    },
    stop() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function forwardCommands(client: Socket, redis: Socket, pass: () => boolean): void {
  let rest: Buffer = Buffer.alloc(0);
  client.on('data', (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    for (let end = endOfCommand(rest); end > 0; end = endOfCommand(rest)) {
      if (!pass()) return;
      redis.write(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  });
}

/** Of `*<n>\r\n` and n times `$<bytes>\r\n<bytes>\r\n`; 0 while some of it is missing. */
function endOfCommand(data: Buffer): number {
  const lineEnd = (from: number): number => data.indexOf('\r\n', from);
  const first = lineEnd(0);
  if (first < 0) return 0;
  let at = first + 2;
  for (let left = Number(data.toString('latin1', 1, first)); left > 0; left--) {
    const end = lineEnd(at);
    if (end < 0) return 0;
    at = end + 2 + Number(data.toString('latin1', at + 1, end)) + 2;
  }
  return at <= data.length ? at : 0;
}
