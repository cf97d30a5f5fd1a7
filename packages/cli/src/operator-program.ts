import type { Command } from 'commander';
import { duration } from './dead-options.ts';
import { drainCommand, type DrainCommand } from './fleet/drain-command.ts';
import { statsCommand, type StatsCommand } from './fleet/stats-command.ts';
import { workersCommand } from './fleet/workers-command.ts';
import { whyCommand } from './why-command.ts';

/** `callyard stats`, `workers`, `drain`, `why`: what operators look at. */
export function addOperatorCommands(program: Command): void {
  program
    .command('stats')
    .description('how the fleet stands: pools, queues, tools, what calls wait for')
    .option('--watch', 'again every 2 s, until q or Ctrl-C')
    .option('--last <time>', 'what tools did in this time, up to 60m (default: 15m)', duration)
    .option('--json', 'one JSON line, with --watch one each time')
    .action((options: StatsCommand) => statsCommand(options));
  program
    .command('workers')
    .description('the workers that live, and the calls they hold')
    .option('--json', 'one JSON array')
    .action(workersCommand);
  program
    .command('drain <worker>')
    .description('have a worker stop as on SIGTERM, and wait until it is gone; the beginning of its id will do')
    .option('--timeout <time>', 'how long to wait (default: 2m)', duration)
    .option('--json', 'one JSON line')
    .action((worker: string, options: DrainCommand) => drainCommand(worker, options));
  program
    .command('why <key>')
    .description('the life of one call: what it waited for, how it ran, how it ended; of a run, its calls')
    .option('--content', 'also its arguments and result, redacted')
    .option('--json', 'one JSON line')
    .action(whyCommand);
}
