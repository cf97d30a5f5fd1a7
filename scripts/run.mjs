/** `node scripts/run.mjs SCRIPT [ARGS…]`: sets up what is missing, then runs the script with the project's own Node. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { isatty } from 'node:tty';
import { setup } from './setup.mjs';

const node = await setup();
// --env-file-if-exists says on every start that there is none.
const envFile = existsSync('.env') ? ['--env-file=.env'] : [];
const child = spawn(node, [...envFile, ...process.argv.slice(2)], { stdio: 'inherit' });

for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
process.on('SIGINT', () => {
  // A terminal sends Ctrl-C to the child too; passed on, it would be a second one.
  if (![0, 1, 2].some((fd) => isatty(fd))) child.kill('SIGINT');
});
child.on('exit', (code, signal) => {
  process.exitCode = code ?? 128 + constants.signals[signal];
});
