import type { Command } from 'commander';
import { chatCommand, type ChatCommand } from './chat-command.ts';
import { dispatcherCommand } from './dispatcher-command.ts';
import { runCancelCommand, runShowCommand, runSubmitCommand, type SubmitCommand } from './run-command.ts';

/** `callyard dispatcher`, `chat` and `run …`: durable runs. */
export function addRunCommands(program: Command): void {
  program
    .command('dispatcher')
    .description('drive durable runs until a signal comes; asks the model of OPENAI_API_KEY')
    .option('--model-module <path>', 'a module that exports the models to ask instead')
    .action(dispatcherCommand);

  forUser(program.command('chat'))
    .description('talk to a model in the terminal, as durable runs of one conversation')
    .option('--owner <owner>', 'whose conversation it is', 'local')
    .option('--user <id>', 'who you are', 'me')
    .option('--conversation <id>', 'go on with this conversation; default: a new one')
    .option('--model-module <path>', 'a module that exports the models to ask; default: that of OPENAI_API_KEY')
    .action((options: ChatCommand) => chatCommand(options));

  const run = program.command('run').description('durable runs: submit, show, cancel');
  forUser(run.command('submit <text...>'))
    .description('have dispatchers answer a message; prints the id of the run')
    .requiredOption('--owner <owner>', 'whose run it is')
    .requiredOption('--user <id>', 'on whose behalf')
    .option('--conversation <id>', 'the conversation that the message is for')
    .option('--key <key>', 'the same key is the same run, however often it is submitted')
    .option('--wait', 'wait for its end, and show it; exits with 1 unless it completed')
    .option('--json', 'one JSON line')
    .action((texts: string[], options: SubmitCommand) => runSubmitCommand(texts, options));
  run
    .command('show <id>')
    .description('where a run stands, and what became of its calls')
    .requiredOption('--owner <owner>', 'whose run it is')
    .option('--json', 'one JSON line, with all messages and outcomes')
    .action(runShowCommand);
  run
    .command('cancel <id>')
    .description('end a run: what waits is withdrawn, what is under way is aborted')
    .requiredOption('--owner <owner>', 'whose run it is')
    .option('--by <who>', 'kept with the run')
    .option('--why <text>', 'kept with the run')
    .option('--json', 'one JSON line')
    .action(runCancelCommand);
}

const forUser = (command: Command): Command =>
  command
    .option('--role <role...>', 'roles of the user')
    .option('--permission <permission...>', 'permissions of the user')
    .option('--tools <name...>', 'offer these tools only')
    .option('--model <name>', 'the model to ask, by its name');
