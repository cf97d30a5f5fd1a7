import { connect } from 'node:net';
import { createInterface } from 'node:readline';

/**
 * Reads what Redis does on a connection of its own: `+<seconds> [<db> <client | lua>] "<command>" "<key>" …`, a line for every
 * command, those inside scripts after their script. Answers how to stop.
 */
export async function monitor(redisUrl: string, onLine: (line: string) => void): Promise<() => void> {
  const { hostname, port } = new URL(redisUrl);
  const socket = connect(Number(port), hostname);
  const lines = createInterface({ input: socket });
  const started = new Promise<void>((resolve) => lines.once('line', () => resolve()));
  lines.on('line', onLine);
  socket.write('MONITOR\r\n');
  await started;
  return () => socket.destroy();
}
