import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** A way to Redis that breaks where a test says. */
export interface RedisProxy {
  url: string;
  /**
   * From now on: the n-th command, of those that match a pattern, still reaches Redis, its answer reaches nobody, and every
   * connection is cut.
   */
  cutAfter(count: number, pattern?: RegExp): void;
  /** The same, and no connection is taken until `revive`: whoever uses it is as good as dead. */
  dieAfter(count: number, pattern?: RegExp): void;
  revive(): void;
  /** From now on each answer takes this long, ms. */
  slowBy(ms: number): void;
  /** commands since `cutAfter` */
  seen(): number;
  /** resolves when it has cut for the first time */
  cut: Promise<void>;
  /** whether it has cut */
  hasCut(): boolean;
}

export async function redisProxy(redisUrl: string): Promise<RedisProxy> {
  const { hostname, port } = new URL(redisUrl);
  const pairs = new Set<[client: Socket, redis: Socket]>();
  let seen = 0;
  let limit = Number.POSITIVE_INFINITY;
  let counted = /(?:)/;
  let diesThen = false;
  let isDead = false;
  let slowMs = 0;
  const { promise: firstCut, resolve: tellCut } = Promise.withResolvers<void>();

  /** Redis reads what it got before it sees the end. */
  function cut(): void {
    limit = Number.POSITIVE_INFINITY;
    isDead = diesThen;
    tellCut();
    for (const [client, redis] of pairs) {
      client.destroy();
      redis.end();
    }
    pairs.clear();
  }

  function watchFor(count: number, pattern = /(?:)/): void {
    seen = 0;
    counted = pattern;
    limit = count;
  }

  const server = createServer((client) => {
    if (isDead) return void client.on('error', () => {}).destroy();
    const redis = connect(Number(port), hostname);
    const pair: [Socket, Socket] = [client, redis];
    pairs.add(pair);
    redis.on('data', (chunk: Buffer) => {
      const pass = () => !client.destroyed && client.write(chunk);
      if (slowMs > 0) setTimeout(pass, slowMs);
      else pass();
    });
    // A side that goes takes the other one along; what broke it is said by its own end.
    for (const socket of pair) {
      socket.on('error', () => {});
      socket.on('close', () => pairs.delete(pair));
    }
    redis.on('close', () => client.destroy());
    client.on('close', () => redis.end());
    const split = commandSplitter();
    client.on('data', (chunk: Buffer) => {
      for (const command of split(chunk)) {
        if (client.destroyed) return;
        redis.write(command);
        if (counted.test(command.toString('latin1'))) seen += 1;
        if (seen >= limit) cut();
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    cut();
    server.close();
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cutAfter(count, pattern) {
      diesThen = false;
      watchFor(count, pattern);
    },
    dieAfter(count, pattern) {
      diesThen = true;
      watchFor(count, pattern);
    },
    revive() {
      isDead = false;
      limit = Number.POSITIVE_INFINITY;
    },
    slowBy(ms) {
      slowMs = ms;
    },
    cut: firstCut,
    seen: () => seen,
    hasCut: () => !Number.isFinite(limit),
  };
}

/** Splits what a client sends into commands: `*<parts>`, then `$<bytes>` and the bytes for each part (RESP). */
function commandSplitter(): (chunk: Buffer) => Buffer[] {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const commands: Buffer[] = [];
    for (let end = endOfCommand(rest); end !== undefined; end = endOfCommand(rest)) {
      commands.push(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
    return commands;
  };
}

/** Where the first command ends; undefined when it is not there in full. */
function endOfCommand(bytes: Buffer): number | undefined {
  const head = lineAt(bytes, 0);
  if (!head) return undefined;
  let at = head.end;
  for (let part = 0; part < head.count; part += 1) {
    const size = lineAt(bytes, at);
    if (!size) return undefined;
    at = size.end + size.count + 2;
  }
  return at <= bytes.length ? at : undefined;
}

function lineAt(bytes: Buffer, at: number): { count: number; end: number } | undefined {
  const end = bytes.indexOf('\r\n', at);
  return end < 0 ? undefined : { count: Number(bytes.toString('latin1', at + 1, end)), end: end + 2 };
}
