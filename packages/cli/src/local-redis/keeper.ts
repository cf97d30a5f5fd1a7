/**
 * Runs one server for the process that forked it and ends it when that process is gone, however it went: the channel
 * between the two closes even on `kill -9`. A process of its own, because the dead cannot clean up.
 */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';

export interface KeeperOrder {
  command: string;
  args: string[];
  /** removed when the server has ended */
  temporaryDir?: string;
}

/** Once the server takes connections its pid; should it end before that, the last it said. */
export type KeeperReport = { pid: number } | { ended: string };

const killAfterMs = 2_000;
const { command, args, temporaryDir } = JSON.parse(process.argv[2] ?? '{}') as KeeperOrder;

const server = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
let output = '';
server.stdout.on('data', listen);
server.stderr.on('data', listen);
server.once('error', listen);
server.once('close', () => {
  if (temporaryDir) rmSync(temporaryDir, { recursive: true, force: true });
  report({ ended: output }, () => process.exit());
});
process.once('disconnect', end);
// The forking process may have died while this one was loading, and the event with it.
if (!process.connected) end();

function listen(said: unknown): void {
  output = (output + String(said)).slice(-2_000);
  // The server's own word and not a PING: on a port lost to another Redis, that one would answer.
  if (!output.includes('Ready to accept connections')) return;
  report({ pid: server.pid ?? 0 });
  server.stdout.off('data', listen).resume();
  server.stderr.off('data', listen).resume();
}

function report(what: KeeperReport, sent: () => void = () => {}): void {
  if (process.connected) process.send?.(what, sent);
  else sent();
}

function end(): void {
  server.kill();
  setTimeout(() => server.kill('SIGKILL'), killAfterMs);
}
