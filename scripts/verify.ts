/** `npm run verify [-- --no-tests]`: everything a change must pass, the quick first; stops at the first failure. */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

interface Step {
  name: string;
  /** what Node runs */
  command: string[];
}

const steps: Step[] = [
  { name: 'format', command: ['node_modules/oxfmt/bin/oxfmt', '--check'] },
  { name: 'lint', command: ['node_modules/oxlint/bin/oxlint', '--type-aware', '--deny-warnings'] },
  { name: 'types', command: ['node_modules/typescript/bin/tsc', '--noEmit', '-p', '.'] },
  { name: 'unused', command: ['node_modules/knip/bin/knip.js'] },
  { name: 'docs', command: ['scripts/docs.ts', '--check'] },
];
const tests: Step = { name: 'tests', command: ['node_modules/vitest/vitest.mjs', 'run'] };

function passes({ name, command }: Step): boolean {
  const started = performance.now();
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  const seconds = ((performance.now() - started) / 1_000).toFixed(1);
  console.log(`${name.padEnd(8)}${status === 0 ? 'ok' : `failed (${status ?? signal})`}  ${seconds} s`);
  if (status !== 0) process.stdout.write(`\n${stdout}${stderr}`);
  return status === 0;
}

const { values } = parseArgs({ options: { 'no-tests': { type: 'boolean', default: false } } });
if (![...steps, ...(values['no-tests'] ? [] : [tests])].every(passes)) process.exitCode = 1;
