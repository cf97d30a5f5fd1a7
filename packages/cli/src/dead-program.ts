import type { Command } from 'commander';
import { deadDropCommand, deadListCommand, deadRetryCommand, deadShowCommand } from './dead-command.ts';
import { duration, rate } from './dead-options.ts';

/** `callyard dead …`: calls that failed for good. */
export function addDeadCommands(program: Command, positive: (text: string) => number): void {
  const dead = program.command('dead').description('calls that failed for good: dead letters');
  filtered(dead.command('list'))
    .description('those there are, newest first')
    .option('--limit <n>', 'at most so many', positive, 100)
    .option('--json', 'a JSON line for each')
    .action(deadListCommand);
  dead
    .command('show <key>')
    .description('everything about one, redacted as logs are')
    .option('--json', 'on one line')
    .action(deadShowCommand);
  filtered(dead.command('retry [key...]'))
    .description('run them once more: as new calls with the same idempotency key, on the version that is live')
    .option('--all', 'all of them')
    .option('--rate <rate>', 'how fast, such as 10/s or 300/m (default: 10/s)', rate)
    .option('--limit <n>', 'ends when so many are retried', positive)
    .option('--force', 'also of at-most-once tools, which may have taken effect')
    .option('--dry-run', 'only say what would be retried')
    .option('--no-wait', 'end when they are sent, not when they have ended')
    .option('--json', 'the counts as one JSON line')
    .action(deadRetryCommand);
  filtered(dead.command('drop [key...]'))
    .description('remove them for good')
    .option('--all', 'all of them')
    .option('--json', 'one JSON line')
    .action(deadDropCommand);
}

const filtered = (command: Command): Command =>
  command
    .option('--tool <tool>', 'of a tool, such as weather or weather@^1')
    .option('--user <id>', 'of a user')
    .option('--owner <id>', 'of an owner')
    .option('--code <code>', 'that ended in a failure code')
    .option('--older-than <time>', 'that failed at least so long ago, such as 2h', duration)
    .option('--newer-than <time>', 'that failed at most so long ago', duration);
