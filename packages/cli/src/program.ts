import { Command, InvalidArgumentError } from 'commander';
import { cacheClearCommand } from './cache-command.ts';
import { addDeadCommands } from './dead-program.ts';
import { demoCommand, type DemoCommand } from './demo-command.ts';
import { limitsCommand, type LimitsCommand } from './limits-command.ts';
import { loadCommand, type LoadCommand } from './load-command.ts';
import { addOperatorCommands } from './operator-program.ts';
import { replayCommand, type ReplayCommand } from './replay-command.ts';
import { addRunCommands } from './run-program.ts';
import { toolsListCommand, toolsShowCommand } from './tools-command.ts';
import { workerCommand } from './worker-command.ts';

/** The commands of `callyard`, one file each. */
export function createProgram(): Command {
  const program = new Command('callyard')
    .description('Runs the tool calls that language models propose, on a fleet of workers')
    .showSuggestionAfterError()
    .showHelpAfterError('(callyard --help lists the commands)');

  program
    .command('demo')
    .description('two workers, several users, real local tools; no key and no network needed')
    .option('--javascript-redis', 'take the pure-JavaScript Redis, as machines without a real one do')
    .option('--load', 'instead ask at a constant rate, of the fleet at REDIS_URL or, without one, of its own')
    .option('--rate <n>', 'calls a second, with --load', positive, 500)
    .option('--minutes <n>', 'end after so many, with --load; default: at Ctrl-C', positiveNumber)
    .action((options: DemoCommand & LoadCommand & { load?: boolean }) =>
      options.load ? loadCommand(options) : demoCommand(options),
    );

  program
    .command('worker')
    .description('serve tools until a signal comes')
    .requiredOption('--tools <path...>', 'modules, or folders of modules, that export tools')
    .action((options: { tools: string[] }) => workerCommand(options.tools));

  const tools = program.command('tools').description('what tools workers serve');
  tools
    .command('list')
    .description('the tools that are live, or those of modules')
    .option('--tools <path...>', 'look into modules instead of asking Redis')
    .option('--json', 'one JSON array')
    .action(toolsListCommand);
  tools
    .command('show <name>')
    .description('one tool: its policy, and its schema as OpenAI and Anthropic get it')
    .option('--tools <path...>', 'look into modules instead of asking Redis')
    .action(toolsShowCommand);

  program
    .command('cache')
    .description('results that are kept for equal calls')
    .command('clear [tool]')
    .description('forget those of one tool, or all')
    .option('--json', 'one JSON line')
    .action(cacheClearCommand);

  program
    .command('limits <user> [tool]')
    .description('what limits leave a user now, of all live tools or one; takes nothing')
    .requiredOption('--owner <owner>', 'whose user it is')
    .option('--role <role...>', 'roles of the user, such as a plan')
    .option('--json', 'one JSON line')
    .action((user: string, tool: string | undefined, options: LimitsCommand) => limitsCommand(user, tool, options));

  addOperatorCommands(program);
  addRunCommands(program);
  addDeadCommands(program, positive);

  program
    .command('replay <file>')
    .description('drive recorded calls through dispatcher, Redis and worker processes')
    .option('--tools <file>', 'definitions of the tools of recorded conversations')
    .option('--workers <n>', 'worker processes', positive, 2)
    .option('--concurrency <n>', 'cases under way at once', positive, 32)
    .option('--mutate', 'damage every call in turn and count whether each comes back with the right code')
    .option('--json', 'a JSON summary as the last line')
    .action((file: string, options: ReplayCommand) => replayCommand(file, options));
  return program;
}

function positive(text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  throw new InvalidArgumentError('a whole number from 1 on is needed.');
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new InvalidArgumentError('a number above 0 is needed.');
}
